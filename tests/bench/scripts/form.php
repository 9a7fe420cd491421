<?php
$sum = 0;
foreach ($_POST as $value) {
    $sum += strlen($value);
}
echo $sum;
