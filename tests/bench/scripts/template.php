<?php
// The same page: PHP is its own template language.
$title = "Fifty & more";
$rows = [];
for ($i = 1; $i <= 50; $i++) {
    $rows[] = ["name" => "Row <$i>", "price" => $i * 3];
}
include "template.inc.php";
