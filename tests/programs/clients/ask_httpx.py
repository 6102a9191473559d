"""httpx, blocking and not."""
import asyncio, httpx
with httpx.Client(verify="ca.crt") as c:
    print(c.get("https://host3.example/x").text, end="")
    for url in ("http://nosuch.example/", "http://10.99.7.1:9/", "http://10.99.7.1:7000/"):
        try: print(c.get(url, timeout=0.5))
        except Exception as error: print(type(error).__name__, error)
async def main():
    async with httpx.AsyncClient(verify="ca.crt") as c:
        for it in await asyncio.gather(*(c.get(f"https://host{n}.example/") for n in range(1, 11))): print(it.text, end="")
asyncio.run(main())
