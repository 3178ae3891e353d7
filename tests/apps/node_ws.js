// A WebSocket echo server by hand (RFC 6455): what it is told by the path and by text messages, it does.
const http = require('http');
const crypto = require('crypto');

const server = http.createServer((request, response) => response.end('plain'));

function frame(opcode, payload) {
  const size = payload.length;
  let head;
  if (size < 126) head = Buffer.from([0x80 | opcode, size]);
  else if (size < 65536) { head = Buffer.from([0x80 | opcode, 126, 0, 0]); head.writeUInt16BE(size, 2); }
  else { head = Buffer.alloc(10); head[0] = 0x80 | opcode; head[1] = 127; head.writeBigUInt64BE(BigInt(size), 2); }
  return Buffer.concat([head, payload]);
}

function close(code, reason) {
  const body = Buffer.alloc(2 + Buffer.byteLength(reason));
  body.writeUInt16BE(code, 0);
  body.write(reason, 2);
  return frame(8, body);
}

function parse(state, data, take) {
  state.data = Buffer.concat([state.data, data]);
  for (;;) {
    const d = state.data;
    if (d.length < 2) return;
    let size = d[1] & 127, at = 2;
    if (size === 126) { if (d.length < 4) return; size = d.readUInt16BE(2); at = 4; }
    if (size === 127) { if (d.length < 10) return; size = Number(d.readBigUInt64BE(2)); at = 10; }
    if (d.length < at + 4 + size) return;
    const mask = d.subarray(at, at + 4), payload = Buffer.from(d.subarray(at + 4, at + 4 + size));
    for (let i = 0; i < size; i++) payload[i] ^= mask[i & 3];
    state.data = d.subarray(at + 4 + size);
    take(d[0] & 15, d[0] >> 7, payload);
  }
}

const seen = [];

server.on('upgrade', (request, socket, head) => {
  const path = request.url.split('?')[0].split('/').pop();
  if (path === 'denied') {
    socket.end('HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 6\r\n\r\ndenied');
    return;
  }
  if (path === 'garbage') { socket.end('SSH-2.0-OpenSSH\r\n\r\n'); return; }
  const key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  const accept = path === 'liar' ? 'bm9wZQ==' : crypto.createHash('sha1').update(key).digest('base64');
  const offered = (request.headers['sec-websocket-protocol'] || '').split(',').map((one) => one.trim());
  const chosen = offered.includes('second') ? 'Sec-WebSocket-Protocol: second\r\n' : '';
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${accept}\r\n${chosen}Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n`);
  const state = { data: Buffer.alloc(0) };
  let parts = [], kind = 0, closed = false;
  const take = (opcode, fin, payload) => {
    if (opcode === 8) {
      seen.push({ code: payload.length ? payload.readUInt16BE(0) : 1005, reason: payload.subarray(2).toString() });
      if (!closed) socket.write(frame(8, payload));
      socket.end();
      return;
    }
    if (opcode === 9) { socket.write(frame(10, payload)); return; }
    if (opcode === 10) return;
    if (opcode) kind = opcode;
    parts.push(payload);
    if (!fin) return;
    const message = Buffer.concat(parts);
    parts = [];
    const text = kind === 1 ? message.toString() : '';
    if (text === 'headers') socket.write(frame(1, Buffer.from(JSON.stringify([request.url, request.rawHeaders]))));
    else if (text === 'seen') socket.write(frame(1, Buffer.from(JSON.stringify(seen))));
    else if (text.startsWith('close ')) { closed = true; socket.write(close(Number(text.split(' ')[1]), 'as told')); }
    else if (text === 'cut') socket.destroy();
    else if (text === 'ping') socket.write(frame(9, Buffer.from('p')));
    else if (text === 'broken') socket.write(Buffer.from([0xf3, 1, 0]));
    else if (text.startsWith('many ')) {
      for (let i = 0; i < Number(text.split(' ')[1]); i++) socket.write(frame(1, Buffer.from(String(i))));
    } else if (text.startsWith('large ')) socket.write(frame(2, Buffer.alloc(Number(text.split(' ')[1]), 7)));
    else socket.write(frame(kind, message));
  };
  socket.on('data', (data) => parse(state, data, take));
  socket.on('error', () => {});
  socket.on('close', () => seen.push({ gone: true }));
  if (head.length) parse(state, head, take);
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
