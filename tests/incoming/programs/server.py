"""An HTTP server of the user's: says who answered, and whom it sees. Prints where it listens, in its own eyes."""
import http.server
import json
import socket
import sys

host, port, label = sys.argv[1], int(sys.argv[2]), sys.argv[3]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        told = json.dumps({
            "by": label,
            "method": self.command,
            "path": self.path,
            "body": body,
            "peer": self.client_address[:2],
            "getpeername": self.connection.getpeername()[:2],
            "getsockname": self.connection.getsockname()[:2],
        }).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)
        print(f"served {self.command} {self.path}\n", end="", flush=True)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
    daemon_threads = True


server = Server((host, port), Handler)
print("listening", *server.socket.getsockname()[:2], flush=True)
server.serve_forever()
