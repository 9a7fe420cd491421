<?php
echo apcu_inc("bench");
