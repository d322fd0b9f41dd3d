// The other end of mqttjs.lua's WebSockets: MQTT.js as a client, or a server of ws and mqtt-packet, which MQTT.js is made of.
"use strict";
const [, , role, ...rest] = process.argv;

// Subscribes, publishes at each quality of service what it then gets itself, and goes when it has it all.
function client(url, ca) {
  const options = { reconnectPeriod: 0, ca: ca && require("node:fs").readFileSync(ca) };
  const c = require("mqtt").connect(url, options);
  const payload = "x".repeat(100000);
  let got = 0;
  c.on("connect", () => c.subscribe("a/#", { qos: 2 }, () => {
    for (const qos of [0, 1, 2]) c.publish("a/b", payload, { qos });
  }));
  c.on("message", (topic, message) => {
    if (topic === "a/stop") process.exit(got === 3 ? 0 : 2);
    if (String(message) !== payload) throw new Error(`${topic}: ${message.length} bytes`);
    if (++got === 3) c.publish("done", "", { qos: 1 });
  });
  c.on("error", (error) => {
    console.error(error.message);
    process.exit(1);
  });
  c.on("close", () => console.log("closed"));
}

// Sends each publish back: its bytes in three frames, and behind it, in the last of these, the acknowledgement.
function server() {
  const { generate, parser } = require("mqtt-packet");
  const { WebSocketServer } = require("ws");
  const listener = new WebSocketServer({ host: "127.0.0.1", port: 0, path: "/mqtt" });
  listener.on("listening", () => console.log(`port ${listener.address().port}`));
  listener.on("connection", (socket, request) => {
    const answers = {
      connect: () => socket.send(generate({ cmd: "connack", returnCode: 0 })),
      publish: (packet) => {
        const back = generate({ cmd: "publish", topic: packet.topic, payload: packet.payload, qos: 0 });
        const more = packet.qos ? generate({ cmd: "puback", messageId: packet.messageId }) : Buffer.alloc(0);
        socket.send(back.subarray(0, 1), { fin: false });
        socket.ping("between");
        socket.send(back.subarray(1, 3), { fin: false });
        socket.send(Buffer.concat([back.subarray(3), more]));
        if (packet.topic === "end") socket.close(1008, "as asked");
      },
    };
    const read = parser();
    read.on("packet", (packet) => answers[packet.cmd] && answers[packet.cmd](packet));
    socket.on("message", (bytes, isBinary) => {
      if (!isBinary) throw new Error("a text frame");
      read.parse(bytes);
    });
    socket.on("pong", (bytes) => console.log(`pong ${bytes}`));
    socket.on("ping", (bytes) => console.log(`ping ${bytes}`));
    socket.on("close", (code) => console.log(`close ${code}`));
    console.log(`open ${socket.protocol} ${request.headers["x-test"]}`);
  });
}

if (role === "client") client(...rest);
else server();
