<?php
function base64($text)
{
    static $digit = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    $out = [];
    $length = strlen($text);
    for ($i = 0; $i < $length; $i += 3) {
        $b = $i + 1 < $length;
        $c = $i + 2 < $length;
        $v = ord($text[$i]) << 16 | ($b ? ord($text[$i + 1]) : 0) << 8
            | ($c ? ord($text[$i + 2]) : 0);
        $out[] = $digit[$v >> 18] . $digit[$v >> 12 & 63]
            . ($b ? $digit[$v >> 6 & 63] : "=") . ($c ? $digit[$v & 63] : "=");
    }
    return implode("", $out);
}

echo base64(str_repeat("0123456789", 300));
