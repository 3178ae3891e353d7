// The client of json-rpc-2.0 over ws; the token comes as a browser would send it.
import { JSONRPCClient, JSONRPCServer, JSONRPCServerAndClient } from "json-rpc-2.0";
import WebSocket from "ws";
import { Events, run } from "./session.mjs";

const { URL_OF_WS: url, TOKEN: token } = process.env;
const bearer = `bearer.${Buffer.from(token).toString("base64url")}`;
const socket = new WebSocket(url, ["anp.jsonrpc.v1", bearer]);
await new Promise((resolve, reject) => {
  socket.once("open", resolve);
  socket.once("error", reject);
});

const events = new Events();
const peer = new JSONRPCServerAndClient(
  new JSONRPCServer(),
  new JSONRPCClient((request) => {
    socket.send(JSON.stringify(request));
    return Promise.resolve();
  }),
);
peer.addMethod("event", (params) => events.put(params));
socket.on("message", (data) => peer.receiveAndSend(JSON.parse(data.toString())));

const seen = await run((method, params) => peer.request(method, params), (types) => events.next(types));

// Several calls as one batch, which this client sends as an array.
const batch = await peer.client.requestAdvanced([
  { jsonrpc: "2.0", id: 1001, method: "health" },
  { jsonrpc: "2.0", id: "two", method: "no.such" },
]);
seen.batch = batch.map((one) => [one.id, one.error?.code ?? one.result.status]);
seen.protocol = socket.protocol;
console.log(JSON.stringify(seen));
socket.close();
