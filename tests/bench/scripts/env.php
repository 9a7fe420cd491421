<?php
$lines = [];
foreach ($_SERVER as $name => $value) {
    $lines[] = $name . "=" . $value . "\n";
}
echo implode("", $lines);
