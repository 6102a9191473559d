"""A FastAPI application of the user's: says who answered."""
from fastapi import FastAPI, Request

app = FastAPI()
LABEL = "local"


@app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
async def answer(path: str, request: Request):
    body = (await request.body()).decode()
    print(f"served {request.method} /{path}\n", end="", flush=True)
    return {"by": LABEL, "method": request.method, "path": "/" + path, "body": body, "peer": request.client.host}
