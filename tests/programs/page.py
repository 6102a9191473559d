"""A Flask application whose configuration, templates and static files lie in the target, served to itself over a socket."""
import threading, urllib.request
from flask import Flask, render_template
from werkzeug.serving import make_server

app = Flask(__name__, root_path="/data/web")
app.config.from_pyfile("settings.cfg")


@app.get("/")
def page():
    return render_template("page.html", name=app.config["NAME"])


client = app.test_client()
for path in ("/", "/static/page.css", "/static/none"):
    answer = client.get(path)
    print(path, answer.status_code, answer.data)
print(client.get("/static/page.css").headers["ETag"] == client.get("/static/page.css").headers["ETag"])
