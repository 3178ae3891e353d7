// An HTTP server without framework: the same paths as lab.py, as far as the tests of targets ask for them.
// It prints its port, or listens on the socket file that is named.
const http = require('http');
const crypto = require('crypto');

const BLOCK = Buffer.alloc(65536);
for (let i = 0; i < BLOCK.length; i++) BLOCK[i] = i % 256;

const notes = [];

function show(request, response) {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const headers = [];
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      headers.push([request.rawHeaders[i].toLowerCase(), request.rawHeaders[i + 1]]);
    }
    const body = Buffer.concat(pieces).toString('latin1');
    const seen = JSON.stringify({ method: request.method, url: request.url, headers, body });
    response.writeHead(200, [
      'Content-Type', 'application/json', 'Content-Length', Buffer.byteLength(seen),
      'Set-Cookie', 'a=1; Path=/', 'X-Mixed-Case', 'kept', 'set-cookie', 'b=2',
    ]);
    response.end(seen);
  });
}

function small(request, response) {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 18 });
  response.end('{"hello": "world"}');
}

function down(request, response, query) {
  let left = Number(query.get('bytes'));
  const note = { sent: 0 };
  notes.push(note);
  response.writeHead(200, { 'Content-Length': left });
  const more = () => {
    while (left > 0) {
      const block = left < BLOCK.length ? BLOCK.subarray(0, left) : BLOCK;
      left -= block.length;
      note.sent += block.length;
      if (!response.write(block)) { response.once('drain', more); return; }
    }
    response.end();
  };
  more();
}

function up(request, response) {
  const digest = crypto.createHash('sha256');
  let size = 0;
  request.on('data', (piece) => { digest.update(piece); size += piece.length; });
  request.on('end', () => response.end(JSON.stringify({ size, sha256: digest.digest('hex') })));
}

function events(request, response, query) {
  let left = Number(query.get('count') || 3);
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  const more = () => {
    if (left-- <= 0) { response.end(); return; }
    response.write(`data: ${Date.now() / 1000}\n\n`);
    setTimeout(more, 1000 * Number(query.get('gap') || 0.1));
  };
  more();
}

function hold(request, response, query) {
  const note = { name: query.get('name') };
  notes.push(note);
  response.on('close', () => { note.disconnected = Date.now() / 1000; });
  response.writeHead(200);
  response.write('begun\n');
}

function cut(request, response, query) {
  // Half an answer, then the connection ends: in good order, or with a reset.
  response.writeHead(200, query.get('length') ? { 'Content-Length': 2000 } : {});
  response.write('x'.repeat(1000));
  setTimeout(() => (query.get('reset') ? request.socket.resetAndDestroy() : request.socket.destroy()), 50);
}

function early(request, response) {
  response.writeHead(413, { 'Content-Length': 4 });
  response.end('full');
}

function trailers(request, response) {
  response.writeHead(200, { Trailer: 'X-Sum' });
  response.write('body');
  response.addTrailers({ 'X-Sum': '42' });
  response.end();
}

function hints(request, response) {
  response.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => {
    response.writeHead(200, { 'Content-Length': 2 });
    response.end('ok');
  });
}

function redirect(request, response) {
  response.writeHead(302, { Location: 'http://192.0.2.1/elsewhere', 'Content-Length': 0 });
  response.end();
}

function zipped(request, response) {
  const body = require('zlib').gzipSync('plain');
  response.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Length': body.length });
  response.end(body);
}

function happened(request, response) {
  response.end(JSON.stringify({ notes, connections: server.seen }));
}

const routes = {
  small, down, up, events, hold, cut, early, trailers, hints, redirect, zipped, happened,
};

const server = http.createServer((request, response) => {
  const url = new URL('http://x' + request.url.replace(/^\/+/, '/'));
  (routes[url.pathname.split('/').pop()] || show)(request, response, url.searchParams);
});
server.seen = 0;
server.on('connection', () => { server.seen++; });
server.on('checkContinue', (request, response) => {
  if (request.url.includes('refuse')) { response.writeHead(417, { 'Content-Length': 0 }); response.end(); return; }
  response.writeContinue();
  server.emit('request', request, response);
});
server.keepAliveTimeout = Number(process.env.KEEP_ALIVE || 5000);
server.listen(process.argv[2] || 0, '127.0.0.1', () => console.log(server.address().port || 'ready'));
