// Toxiproxy's npm client drives mqrig-proxy in front of a mosquitto. Run by control_test.lua, with the client in NODE_PATH.
"use strict";
const assert = require("node:assert");
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { Toxiproxy } = require("toxiproxy-node-client");

const [, , program, folder] = process.argv;
const children = new Set();
const LIMIT_MS = 20000;

// A child whose output can be waited for.
function start(command, args) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  const run = { child, out: "", watchers: [] };
  const take = (bytes) => {
    run.out += bytes;
    run.watchers.forEach((look) => look());
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  children.add(child);
  run.ended = new Promise((resolve) => child.on("close", (status) => {
    children.delete(child);
    run.over = true;
    run.status = status;
    run.watchers.forEach((look) => look());
    resolve(status);
  }));
  return run;
}

function limited(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), LIMIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function output(run, pattern) {
  return limited(new Promise((resolve, reject) => {
    const look = () => {
      const found = run.out.match(pattern);
      if (found) resolve(found);
      else if (run.over) reject(new Error(`ended without ${pattern}: ${run.out}`));
    };
    run.watchers.push(look);
    look();
  }), `${pattern} (${run.child.spawnargs.join(" ")}: ${run.out})`);
}

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

const port = (proxy) => proxy.listen.split(":").pop();
const common = (p, id, topic) => ["-h", "127.0.0.1", "-p", p, "-i", id, "-t", topic];
const subscribe = (p, ...more) => start("stdbuf", ["-oL", "mosquitto_sub", "-d", ...common(p, "sub", "a/#"), ...more]);
const publish = (p, ...more) => start("stdbuf", ["-oL", "mosquitto_pub", ...common(p, "pub", "a/b"), "-m", "hello", ...more]);
const toxic = (type, attributes, stream = "downstream", toxicity = 1) =>
  ({ name: "t", type, stream, toxicity, attributes });

// How long a message takes from a publisher at the broker to a subscriber behind the proxy, in milliseconds.
async function delivery(proxy, broker) {
  const sub = subscribe(port(proxy), "-C", "1");
  await output(sub, /Subscribed/);
  const began = performance.now();
  await publish(broker).ended;
  await limited(sub.ended, "the message");
  assert.match(sub.out, /\nhello/);
  return performance.now() - began;
}

async function refuses(promise, status) {
  await assert.rejects(promise, new RegExp(`status code ${status}`));
}

const cases = {
  async "proxies are made, found, changed and removed"({ api, broker }) {
    assert.match(await api.getVersion(), /"version":"2\./);
    const p = await api.createProxy({ name: "one", listen: "127.0.0.1:0", upstream: `127.0.0.1:${broker}` });
    assert.notEqual(port(p), "0");
    assert.equal(p.enabled, true);
    await refuses(api.createProxy({ name: "one", listen: "127.0.0.1:0", upstream: `127.0.0.1:${broker}` }), 409);
    await refuses(api.get("none"), 404);
    assert.equal((await api.get("one")).listen, p.listen);
    assert.deepEqual(Object.keys(await api.getAll()).sort(), ["mqtt", "one"]);
    const off = await p.update({ enabled: false, listen: p.listen, upstream: p.upstream });
    assert.equal(off.enabled, false);
    assert.notEqual(await publish(port(p)).ended, 0);
    await api.reset();
    assert.equal(await publish(port(p)).ended, 0);
    await p.remove();
    await refuses(api.get("one"), 404);
    const made = await api.populate([
      { name: "two", listen: "127.0.0.1:0", upstream: `127.0.0.1:${broker}` },
      { name: "three", listen: "127.0.0.1:0", upstream: `127.0.0.1:${broker}`, enabled: false },
    ]);
    assert.deepEqual([made.two.enabled, made.three.enabled], [true, false]);
    await made.two.remove();
    await made.three.remove();
  },

  async "latency, changed and removed"({ proxy, broker }) {
    const t = await proxy.addToxic(toxic("latency", { latency: 150, jitter: 0 }));
    assert.deepEqual((await proxy.getToxic("t")).attributes, { latency: 150, jitter: 0 });
    assert.ok(await delivery(proxy, broker) >= 150);
    const changed = await t.update({ ...t.toJson(), attributes: { latency: 300, jitter: 10 } });
    assert.deepEqual(changed.attributes, { latency: 300, jitter: 10 });
    assert.ok(await delivery(proxy, broker) >= 290);
    await t.remove();
    await refuses(proxy.getToxic("t"), 404);
    await refuses(proxy.addToxic(toxic("latncy", {})), 400);
  },

  async "what latency holds arrives when it is removed"({ proxy }) {
    const sub = subscribe(port(proxy), "-C", "1");
    await output(sub, /Subscribed/);
    const t = await proxy.addToxic(toxic("latency", { latency: 3600000, jitter: 0 }, "upstream"));
    const pub = publish(port(proxy), "-d");
    await output(pub, /sending CONNECT/);
    await t.remove();
    await limited(sub.ended, "the message");
    assert.equal(await pub.ended, 0);
  },

  async "bandwidth"({ proxy, folder: where }) {
    const file = path.join(where, "payload");
    fs.writeFileSync(file, Buffer.alloc(30000, "x"));
    await proxy.addToxic(toxic("bandwidth", { rate: 100 }, "upstream"));
    const began = performance.now();
    const pub = start("mosquitto_pub", [...common(port(proxy), "pub", "a/b"), "-f", file, "-q", "1"]);
    assert.equal(await limited(pub.ended, "the publisher's end"), 0);
    const took = performance.now() - began;
    assert.ok(took >= 250, `30 kB at 100 kB/s took ${took} ms`);
  },

  async "slow_close"({ proxy }) {
    await proxy.addToxic(toxic("slow_close", { delay: 200 }, "upstream"));
    assert.equal(await publish(port(proxy)).ended, 0);
  },

  async "timeout"({ proxy }) {
    await proxy.addToxic(toxic("timeout", { timeout: 100 }));
    const sub = subscribe(port(proxy));
    await output(sub, /sending CONNECT/);
    await output(sub, /sending CONNECT[^]*sending CONNECT|Error|lost/);
    assert.doesNotMatch(sub.out, /CONNACK/);
    sub.child.kill();
    await sub.ended;
  },

  async "reset_peer strikes who is connected, and nobody at toxicity 0"({ proxy }) {
    const sub = subscribe(port(proxy), "--repeat", "1");
    sub.child.kill();
    await sub.ended;
    const socket = net.connect(Number(port(proxy)), "127.0.0.1");
    const failed = new Promise((resolve) => socket.on("error", resolve));
    socket.write(Buffer.from([0x10, 13, 0, 4, 77, 81, 84, 84, 4, 2, 0, 60, 0, 1, 114]));
    await limited(new Promise((resolve) => socket.once("data", resolve)), "CONNACK");
    const none = await proxy.addToxic(toxic("reset_peer", { timeout: 0 }, "downstream", 0));
    socket.write(Buffer.from([0xc0, 0]));
    await limited(new Promise((resolve) => socket.once("data", resolve)), "PINGRESP");
    await none.remove();
    await proxy.addToxic(toxic("reset_peer", { timeout: 0 }));
    assert.equal((await limited(failed, "the reset")).code, "ECONNRESET");
  },

  async "slicer"({ proxy, broker }) {
    await proxy.addToxic(toxic("slicer", { average_size: 1, size_variation: 0, delay: 5000 }));
    assert.ok(await delivery(proxy, broker) >= 40);
  },

  async "limit_data"({ proxy }) {
    await proxy.addToxic(toxic("limit_data", { bytes: 4 }));
    const socket = net.connect(Number(port(proxy)), "127.0.0.1");
    const got = [];
    socket.on("data", (bytes) => got.push(bytes));
    socket.write(Buffer.from([0x10, 13, 0, 4, 77, 81, 84, 84, 4, 2, 0, 60, 0, 1, 108, 0xc0, 0]));
    await limited(new Promise((resolve) => socket.on("close", resolve)), "the end");
    assert.deepEqual([...Buffer.concat(got)], [0x20, 2, 0, 0]);
  },

  async "mqtt: a rule as a toxic"({ proxy, broker }) {
    await proxy.addToxic(toxic("mqtt", { rule: "up PUBLISH topic a/b drop" }, "upstream"));
    const sub = subscribe(broker, "-W", "2");
    await output(sub, /Subscribed/);
    assert.equal(await publish(port(proxy)).ended, 0);
    assert.equal(await publish(broker, "-t", "a/c").ended, 0);
    await output(sub, /'a\/c'/);
    assert.doesNotMatch(sub.out, /'a\/b'/);
    sub.child.kill();
    await sub.ended;
    await refuses(proxy.addToxic({ ...toxic("mqtt", { rule: "up PUBLISH drp" }), name: "bad" }), 400);
  },
};

async function main() {
  const broker = await freePort();
  const config = path.join(folder, "mosquitto.conf");
  fs.writeFileSync(config, `listener ${broker} 127.0.0.1\nallow_anonymous true\npersistence false\n`);
  await output(start("mosquitto", ["-c", config]), /running/);
  const run = start(program, ["127.0.0.1:0", `127.0.0.1:${broker}`, "--seed", "1", "--control", "0"]);
  const url = (await output(run, /control at (\S+)/))[1];
  const api = new Toxiproxy(url);
  const proxy = await api.get("mqtt");
  for (const [name, body] of Object.entries(cases)) {
    await body({ api, proxy, broker, folder });
    await api.reset();
    console.log(`ok ${name}`);
  }
  const metrics = await (await fetch(`${url}/metrics`)).text();
  assert.match(metrics, /toxiproxy_proxy_received_bytes_total\{direction="upstream",listener="127/);
  const browser = await fetch(url, { headers: { "User-Agent": "Mozilla/5.0" } });
  assert.equal(browser.status, 403);
  run.child.kill();
  assert.equal(await limited(run.ended, "the proxy's end"), 0, run.out);
}

main().then(() => 0, (why) => {
  console.error(why);
  return 1;
}).then((status) => {
  children.forEach((child) => child.kill());
  process.exit(status);
});
