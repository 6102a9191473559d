<?php // For PHP's own server: says who answered.
error_log("served {$_SERVER['REQUEST_METHOD']} {$_SERVER['REQUEST_URI']}");
echo json_encode(["by" => "local", "method" => $_SERVER["REQUEST_METHOD"], "path" => $_SERVER["REQUEST_URI"],
	"body" => file_get_contents("php://input"), "peer" => $_SERVER["REMOTE_ADDR"]]);
