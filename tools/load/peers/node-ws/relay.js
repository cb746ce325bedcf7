// A relay on node's ws, in the manner of jsmpeg's websocket-relay: what is POSTed to it goes to everybody, as it is read.
//   node relay.js PORT
'use strict';

const http = require('http');
const WebSocket = require('ws');

const server = http.createServer((request, response) => {
  if (request.method !== 'POST') {
    response.writeHead(405).end();
    return;
  }
  request.on('data', (data) => {
    for (const client of sockets.clients) {
      if (client.readyState === WebSocket.OPEN) {
        client.send(data);
      }
    }
  });
  request.on('end', () => response.end());
});
server.requestTimeout = 0;

const sockets = new WebSocket.Server({ server, perMessageDeflate: false });
server.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
