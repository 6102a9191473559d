"""A Flask application of the user's: says who answered."""
from flask import Flask, request

app = Flask(__name__)
LABEL = "local"


@app.route("/", defaults={"path": ""}, methods=["GET", "POST", "PUT", "DELETE"])
@app.route("/<path:path>", methods=["GET", "POST", "PUT", "DELETE"])
def answer(path):
    body = request.get_data(as_text=True)
    print(f"served {request.method} /{path}\n", end="", flush=True)
    return {"by": LABEL, "method": request.method, "path": "/" + path, "body": body, "peer": request.remote_addr}


if __name__ == "__main__":
    import sys
    app.run("0.0.0.0", 80, use_reloader="reload" in sys.argv)
