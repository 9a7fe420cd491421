<?php
echo $_FILES["file"]["size"];
