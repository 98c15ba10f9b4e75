// Socket.IO with its Redis adapter, as its users would run it: rooms in memory, and nothing is kept.
const { createServer } = require("http");
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");

(async () => {
  const publisher = createClient({ socket: { path: process.env.SOCKETIO_REDIS } });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  const http = createServer();
  const io = new Server(http, {
    transports: ["websocket"], perMessageDeflate: false, adapter: createAdapter(publisher, subscriber),
  });
  io.on("connection", (socket) => {
    socket.on("join", (room, done) => { socket.join(room); done("ok"); });
    socket.on("message", (message) => { io.to(message.room).emit("message", message); });
  });
  http.listen(Number(process.env.SOCKETIO_PORT), "127.0.0.1", 4096);
})();
