// The client of rpc-websockets; the token is in the handshake.
import { Client } from "rpc-websockets";
import { Events, run } from "./session.mjs";

const { URL_OF_WS: url, TOKEN: token } = process.env;
const client = new Client(url, { headers: { Authorization: `Bearer ${token}` }, reconnect: false });
await new Promise((resolve, reject) => {
  client.on("open", resolve);
  client.on("error", reject);
});

const events = new Events();
client.on("event", (params) => events.put(params));
const seen = await run((method, params) => client.call(method, params), (types) => events.next(types));
console.log(JSON.stringify(seen));
client.close();
