// Toxiproxy's npm client drives mqrig-proxy in front of a mosquitto. Run by control_test.lua, with the client in NODE_PATH.
"use strict";
const assert = require("node:assert");
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const http = require("node:http");
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

const over = (run) => limited(run.ended, `the end of ${run.child.spawnargs.join(" ")}`);

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
  await over(publish(broker));
  await over(sub);
  assert.match(sub.out, /\nhello/);
  return performance.now() - began;
}

// A plain client of the proxy: what it got, and how and when it ended.
function dial(proxy, options = {}) {
  const socket = net.connect({ port: Number(port(proxy)), host: "127.0.0.1", allowHalfOpen: true, ...options });
  const run = { socket, bytes: Buffer.alloc(0), watchers: [], began: performance.now() };
  socket.on("data", (bytes) => {
    run.bytes = Buffer.concat([run.bytes, bytes]);
    run.watchers.forEach((look) => look());
  });
  run.ended = new Promise((resolve) => {
    socket.on("end", () => resolve("end"));
    socket.on("error", (why) => resolve(why.code));
  }).then((how) => {
    run.took = performance.now() - run.began;
    return how;
  });
  return run;
}

function receives(run, size) {
  return limited(new Promise((resolve) => {
    const look = () => run.bytes.length >= size && resolve(run.bytes);
    run.watchers.push(look);
    look();
  }), `${size} bytes`);
}

const connect = (id) => Buffer.concat([Buffer.from([0x10, 12 + id.length, 0, 4]), Buffer.from("MQTT"),
  Buffer.from([4, 2, 0, 60, 0, id.length]), Buffer.from(id)]);
const PINGREQ = Buffer.from([0xc0, 0]);
const DISCONNECT = Buffer.from([0xe0, 0]);

// An upstream that sends back what comes, and, after its end, "late" and an end of its own.
function echo() {
  return new Promise((resolve) => {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("data", (bytes) => socket.write(bytes));
      socket.on("end", () => socket.end("late"));
      socket.on("error", () => {});
    }).listen(0, "127.0.0.1", () => resolve(server));
  });
}

// A request as it is: status, and what came.
function ask(url, method, where, body, headers = {}) {
  return limited(new Promise((resolve, reject) => {
    const request = http.request(url + where, { method, headers, agent: false }, (response) => {
      let text = "";
      response.on("data", (piece) => { text += piece; });
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
    });
    request.on("error", reject);
    request.end(body);
  }), `the answer to ${method} ${where}`);
}

// The error body that clients take apart.
async function fails(url, method, where, body, status, pattern, headers) {
  const answer = await ask(url, method, where, body, headers);
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers["content-type"], /application\/json/);
  const problem = JSON.parse(answer.text);
  assert.deepEqual(Object.keys(problem).sort(), ["error", "status"]);
  assert.equal(problem.status, status);
  assert.match(problem.error, pattern);
}

// The numbers of the connections, of so many, that a toxic strikes: they get nothing back.
async function struck(api, share, count) {
  const server = await echo();
  const proxy = await api.createProxy({ name: "drawn", listen: "127.0.0.1:0",
    upstream: `127.0.0.1:${server.address().port}` });
  await proxy.addToxic(toxic("limit_data", { bytes: 0 }, "downstream", share));
  const hit = [];
  for (let n = 0; n < count; n++) {
    const run = dial(proxy);
    run.socket.write("x");
    await limited(Promise.race([receives(run, 1), run.ended]), "the byte or the end");
    if (run.bytes.length === 0) hit.push(n);
    run.socket.destroy();
  }
  await proxy.remove();
  server.close();
  return hit;
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
    assert.notEqual(await over(publish(port(p))), 0);
    await api.reset();
    assert.equal(await over(publish(port(p))), 0);
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
    await over(sub);
    assert.equal(await over(pub), 0);
  },

  async "bandwidth"({ proxy, folder: where }) {
    const file = path.join(where, "payload");
    fs.writeFileSync(file, Buffer.alloc(30000, "x"));
    await proxy.addToxic(toxic("bandwidth", { rate: 100 }, "upstream"));
    const began = performance.now();
    const pub = start("mosquitto_pub", [...common(port(proxy), "pub", "a/b"), "-f", file, "-q", "1"]);
    assert.equal(await over(pub), 0);
    const took = performance.now() - began;
    assert.ok(took >= 250, `30 kB at 100 kB/s took ${took} ms`);
  },

  async "bandwidth downstream, and 0 is none"({ proxy, broker }) {
    const t = await proxy.addToxic(toxic("bandwidth", { rate: 100 }));
    const sub = subscribe(port(proxy), "-C", "1");
    await output(sub, /Subscribed/);
    const began = performance.now();
    await over(start("mosquitto_pub", [...common(broker, "pub", "a/b"), "-m", "x".repeat(30000)]));
    await over(sub);
    assert.ok(performance.now() - began >= 250);
    await t.update({ ...t.toJson(), attributes: { rate: 0 } });
    assert.ok(await delivery(proxy, broker) < 5000);
  },

  async "slow_close, in the direction that it is for"({ proxy }) {
    const t = await proxy.addToxic(toxic("slow_close", { delay: 300 }));
    const late = dial(proxy);
    late.socket.write(Buffer.concat([connect("late"), DISCONNECT]));
    assert.equal(await limited(late.ended, "the end"), "end");
    assert.ok(late.took >= 300, `${late.took} ms`);
    assert.deepEqual([...late.bytes], [0x20, 2, 0, 0]);
    late.socket.destroy();
    await t.remove();
    await proxy.addToxic(toxic("slow_close", { delay: 3600000 }, "upstream"));
    const other = dial(proxy);
    other.socket.write(Buffer.concat([connect("other"), DISCONNECT]));
    assert.equal(await limited(other.ended, "the end"), "end");
    other.socket.destroy();
  },

  async "timeout closes after its time, and nothing comes"({ proxy }) {
    const t = await proxy.addToxic(toxic("timeout", { timeout: 200 }));
    const run = dial(proxy);
    run.socket.write(connect("timeout"));
    await limited(run.ended, "the end");
    assert.ok(run.took >= 200 && run.bytes.length === 0, `${run.took} ms, ${run.bytes.length} bytes`);
    run.socket.destroy();
    await t.update({ ...t.toJson(), attributes: { timeout: 0 } });
    const held = dial(proxy);
    held.socket.write(connect("held"));
    assert.equal(await Promise.race([held.ended, new Promise((r) => setTimeout(r, 300, "up"))]), "up");
    await t.remove();
    await limited(held.ended, "the end, for it has lost bytes");
    assert.equal(held.bytes.length, 0);
    held.socket.destroy();
  },

  async "reset_peer strikes who is connected, also who is idle, and nobody at toxicity 0"({ proxy }) {
    const run = dial(proxy);
    run.socket.write(connect("reset"));
    await receives(run, 4);
    const none = await proxy.addToxic(toxic("reset_peer", { timeout: 0 }, "downstream", 0));
    run.socket.write(PINGREQ);
    await receives(run, 6);
    await none.remove();
    const began = performance.now();
    await proxy.addToxic(toxic("reset_peer", { timeout: 150 }));
    assert.equal(await limited(run.ended, "the reset"), "ECONNRESET");
    assert.ok(performance.now() - began >= 150);
    const next = dial(proxy);
    next.socket.write(connect("next"));
    assert.equal(await limited(next.ended, "the reset"), "ECONNRESET");
    assert.equal(next.bytes.length, 0);
  },

  async "toxicity is a share, drawn from the seed"({ api, other }) {
    const first = await struck(api, 0.5, 40);
    assert.ok(first.length >= 8 && first.length <= 32, `${first.length} of 40`);
    const mine = await struck(other, 0.5, 40);
    assert.deepEqual(await struck(other, 1, 5), [0, 1, 2, 3, 4]);
    assert.deepEqual(await struck(other, 0, 5), []);
    const { run, api: again } = await serve("--seed", "7");
    assert.deepEqual(await struck(again, 0.5, 40), mine);
    run.child.kill();
  },

  async "half-close goes through as half-close, toxics or not"({ api }) {
    const server = await echo();
    const proxy = await api.createProxy({ name: "half", listen: "127.0.0.1:0",
      upstream: `127.0.0.1:${server.address().port}` });
    for (const t of [null, toxic("latency", { latency: 30, jitter: 0 }), toxic("slicer", { average_size: 1,
      size_variation: 0, delay: 1000 }), toxic("slow_close", { delay: 30 }, "upstream")]) {
      if (t) await proxy.addToxic({ ...t, name: t.type });
      const run = dial(proxy);
      run.socket.end("early");
      assert.equal(await limited(run.ended, "the end"), "end");
      assert.equal(run.bytes.toString(), "earlylate");
    }
    await proxy.remove();
    server.close();
  },

  async "toxics come and go under load, and no byte is lost"({ api }) {
    const server = await echo();
    const proxy = await api.createProxy({ name: "load", listen: "127.0.0.1:0",
      upstream: `127.0.0.1:${server.address().port}` });
    const sent = Buffer.alloc(1 << 20, 0).map((_, i) => (i * 2654435761) >>> 24);
    const run = dial(proxy);
    run.socket.write(sent);
    for (const [type, attributes] of [["latency", { latency: 3600000, jitter: 0 }], ["bandwidth", { rate: 1 }],
      ["slicer", { average_size: 10, size_variation: 5, delay: 1000000 }], ["slow_close", { delay: 10 }],
      ["reset_peer", { timeout: 3600000 }], ["limit_data", { bytes: 1e9 }]]) {
      for (const stream of ["upstream", "downstream"]) {
        const t = await proxy.addToxic(toxic(type, attributes, stream));
        await t.remove();
      }
    }
    assert.ok((await receives(run, sent.length)).equals(sent));
    run.socket.destroy();
    await proxy.remove();
    server.close();
  },

  async "populate is done whole or not at all, and brings toxics"({ api, url, broker }) {
    const upstream = `127.0.0.1:${broker}`;
    const slow = { name: "slow", type: "latency", attributes: { latency: 100 } };
    await refuses(api.populate([{ name: "a", listen: "127.0.0.1:0", upstream },
      { name: "b", listen: "127.0.0.1:0", upstream, toxics: [{ ...slow, type: "latncy" }] }]), 400);
    assert.deepEqual(Object.keys(await api.getAll()), ["mqtt"]);
    const made = await api.populate([{ name: "a", listen: "127.0.0.1:0", upstream, toxics: [slow] }]);
    assert.equal((await made.a.getToxic("slow")).attributes.latency, 100);
    assert.ok(await delivery(made.a, broker) >= 100);
    await fails(url, "POST", "/populate", JSON.stringify([{ name: "c", listen: port(made.a), upstream }]), 400, /c.*port/);
    await made.a.remove();
  },

  async "an upstream that is down refuses"({ api }) {
    const down = await api.createProxy({ name: "down", listen: "127.0.0.1:0", upstream: "127.0.0.1:1" });
    const run = dial(down);
    assert.equal(await limited(run.ended, "the refusal"), "ECONNRESET");
    await down.remove();
  },

  async "refusals are sentences with a status"({ url, broker }) {
    const upstream = `127.0.0.1:${broker}`;
    const order = (more) => JSON.stringify({ name: "x", listen: "127.0.0.1:0", upstream, ...more });
    await fails(url, "GET", "/proxies/none", null, 404, /^proxy not found$/);
    await fails(url, "GET", "/proxies/mqtt/toxics/none", null, 404, /^toxic not found$/);
    await fails(url, "POST", "/proxies", order({ name: "mqtt" }), 409, /^proxy already exists$/);
    await fails(url, "POST", "/proxies", '{"name": "x",', 400, /^bad request body: .*line 1/);
    await fails(url, "POST", "/proxies", order({ name: "" }), 400, /name/);
    await fails(url, "POST", "/proxies", order({ upstream: "" }), 400, /upstream/);
    await fails(url, "POST", "/proxies", order({ listen: upstream }), 500, /in use/);
    await fails(url, "POST", "/proxies/mqtt/toxics", '{"type": "latncy"}', 400, /perhaps "latency" is meant/);
    await fails(url, "POST", "/proxies/mqtt/toxics", '{"type": "latency", "stream": "up"}', 400, /stream/);
    await fails(url, "POST", "/proxies/mqtt/toxics", '{"type": "latency", "toxicity": 2}', 400, /toxicity/);
    await fails(url, "POST", "/proxies/mqtt/toxics", '{"type": "latency", "attributes": {"latency": "x"}}', 400,
      /latency/);
    await fails(url, "PUT", "/proxies", "{}", 405, /method not allowed/);
    await fails(url, "GET", "/nothing", null, 404, /nothing/);
    const large = await ask(url, "POST", "/proxies", "x".repeat((1 << 20) + 1)).catch((why) => ({ why }));
    assert.ok(large.status === 413 || large.why, `a body of more than 1 MiB: ${large.status}`);
  },

  async "browsers and foreign hosts are refused"({ url }) {
    for (const headers of [{ "User-Agent": "Mozilla/5.0" }, { Origin: "http://evil.example" },
      { "Sec-Fetch-Site": "cross-site" }, { Host: "evil.example" }, { Host: "evil.example:8474" }]) {
      await fails(url, "GET", "/version", null, 403, /./, headers);
    }
    for (const Host of ["localhost", "127.0.0.1:8474", "[::1]:8474"]) {
      assert.equal((await ask(url, "GET", "/version", null, { Host })).status, 200);
    }
  },

  async "metrics count"({ url, proxy }) {
    const value = async (name, labels) => {
      const { text, headers } = await ask(url, "GET", "/metrics");
      assert.match(headers["content-type"], /^text\/plain/);
      return Number(text.match(new RegExp(`^${name}\\{${labels}.*proxy="mqtt".*\\} (\\d+)$`, "m"))[1]);
    };
    const received = () => value("toxiproxy_proxy_received_bytes_total", 'direction="upstream"');
    const sent = () => value("toxiproxy_proxy_sent_bytes_total", 'direction="downstream"');
    const firings = () => value("mqrig_proxy_firings_total", "");
    const [in_, out, fired] = [await received(), await sent(), await firings()];
    await proxy.addToxic(toxic("latency", { latency: 1, jitter: 0 }));
    assert.equal(await over(publish(port(proxy), "-q", "1")), 0);
    assert.ok(await received() >= in_ + 29 && await sent() === out + 8 && await firings() === fired + 1);
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
    const sub = subscribe(broker);
    await output(sub, /Subscribed/);
    assert.equal(await over(publish(port(proxy))), 0);
    assert.equal(await over(publish(broker, "-t", "a/c")), 0);
    await output(sub, /'a\/c'/);
    assert.doesNotMatch(sub.out, /'a\/b'/);
    sub.child.kill("SIGKILL"); // for any other it disconnects inside its handler, and may wait for its own lock for ever
    await over(sub);
    await refuses(proxy.addToxic({ ...toxic("mqtt", { rule: "up PUBLISH drp" }), name: "bad" }), 400);
  },
};

// A proxy program with its interface.
async function serve(...more) {
  const run = start(program, ["--control", "0", ...more]);
  const url = (await output(run, /control at (\S+)/))[1];
  return { run, url, api: new Toxiproxy(url) };
}

async function main() {
  const broker = await freePort();
  const config = path.join(folder, "mosquitto.conf");
  fs.writeFileSync(config, `listener ${broker} 127.0.0.1\nallow_anonymous true\npersistence false\n`);
  await output(start("mosquitto", ["-c", config]), /running/);
  const { run, url, api } = await serve("127.0.0.1:0", `127.0.0.1:${broker}`, "--seed", "1");
  const { run: second, api: other } = await serve("--seed", "7");
  const proxy = await api.get("mqtt");
  for (const [name, body] of Object.entries(cases)) {
    await body({ api, other, url, proxy, broker, folder });
    await api.reset();
    console.log(`ok ${name}`);
  }
  for (const one of [run, second]) {
    one.child.kill();
    assert.equal(await over(one), 0, one.out);
  }
  assert.match(run.out, /#\d+ !! toxic "t": down bytes delay 150ms/);
}

main().then(() => 0, (why) => {
  console.error(why);
  return 1;
}).then((status) => {
  children.forEach((child) => child.kill("SIGKILL"));
  process.exit(status);
});
