import http2 from "node:http2";
const [port = "80", label = "mine"] = process.argv.slice(2);
const s = http2.createServer();
s.on("stream", (st, h) => {
  const chunks = [];
  st.on("data", (c) => chunks.push(c));
  st.on("end", () => {
    st.respond({ ":status": 200, "content-type": "application/json" });
    st.end(JSON.stringify({ by: label, method: h[":method"], path: h[":path"], bytes: Buffer.concat(chunks).length }));
    console.log("served", h[":path"]);
  });
  st.on("error", (e) => console.log("err", e.message));
});
s.listen(Number(port), "0.0.0.0", () => console.log("listening"));
