<!DOCTYPE html>
<title><?= htmlspecialchars($title) ?></title>
<h1><?= htmlspecialchars($title) ?></h1>
<table>
<?php foreach ($rows as $i => $row) { ?>
<tr><td><?= htmlspecialchars($i + 1) ?></td><td><?= htmlspecialchars($row["name"]) ?></td><td><?= htmlspecialchars($row["price"]) ?></td></tr>
<?php } ?>
</table>
