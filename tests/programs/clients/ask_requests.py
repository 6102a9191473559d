"""requests: ten hosts at once over TLS, a big body, errors."""
import requests, concurrent.futures
s = requests.Session(); s.verify = "ca.crt"
def ask(n):
    return s.get(f"https://host{n}.example/p{n}", timeout=10).text
with concurrent.futures.ThreadPoolExecutor(10) as pool:
    for text in pool.map(ask, range(1, 11)): print(text, end="")
print(s.post("https://host1.example/", data=b"x" * 3_000_000).text, end="")
print(requests.get("http://echo-server/a?b=c", headers={"X": "1"}).json()["http"])
for url in ("http://nosuch.example/", "http://10.99.7.1:9/", "https://host1.example/", "http://10.99.7.1:7000/"):
    try: print(requests.get(url, timeout=0.7).status_code)
    except Exception as error: print(type(error).__name__, str(error).split("object at 0x")[0][:150])
