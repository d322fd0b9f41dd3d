---@meta mqrig
-- The interface of scenario files, for editors and for the reference, which docs/reference.lua makes from this file.
-- What stands before a class or a function is its description; a line that begins with `--#` opens a chapter.

local rig = {}

---@alias duration number|string Seconds, or a text with a unit: `0.25`, `"250ms"`, `"2m"` (ns us ms s m h d).
---@alias packet_type "CONNECT"|"CONNACK"|"PUBLISH"|"PUBACK"|"PUBREC"|"PUBREL"|"PUBCOMP"|"SUBSCRIBE"|"SUBACK"|"UNSUBSCRIBE"|"UNSUBACK"|"PINGREQ"|"PINGRESP"|"DISCONNECT"|"AUTH"

--# The client API

--- `local mqtt = require("mqrig").mqtt`: the MQTT client as programs have it, without any waiting: what happens is told
--- to functions. The calls are those of the imp agent's `mqtt` object. Errors of use are raised.
---@class mqtt
---@field AT_MOST_ONCE integer QoS 0.
---@field AT_LEAST_ONCE integer QoS 1.
---@field EXACTLY_ONCE integer QoS 2.
---@field SUCCESS integer 0: done, as far as the QoS promises.
---@field FAILURE integer -1: the transport failed while the message was being written.
---@field ERROR_DISCONNECTED integer -3: disconnected, lost or closed before the first byte was handed to the transport.
---@field ERROR_NO_MORE_MSGIDS integer -10: all 65,535 packet identifiers are in use.
---@field ERROR_OPERATION_INCOMPLETE integer -11: written, and its handshake was cut short: whether it arrived is unknown.
---@field ERROR_MAX_BUFFERED_MESSAGES integer -12: `maxbuffered` messages wait and the transport takes no more now.
local mqtt = {}
rig.mqtt = mqtt

--- A new client, not connected. When it is collected or closed its connection ends. Options: `maxinflight` (65535),
--- `maxbuffered` (100000), `maxmessage` (262144 bytes), `outrate` and `inrate` (`{rate, burst}`: messages a second, and
--- how many at once), `profile = "imp"` (imp's own limits). An unknown option is an error.
---@param options? table
---@return mqtt_client
function mqtt.createclient(options) end

--- The sentence for a code.
---@param code integer
---@return string
function mqtt.describe(code) end

--- What TLS is set up with, for `ssl://`, `mqtts://` and `wss://` URLs. A text with `-----BEGIN` in it is PEM, any other
--- is the path of a file with PEM. It is read once for each table: keep the table to keep a client's sessions.
---@class tls_options
---@field ca string|nil whom to trust; a client without it trusts whom the system trusts (or SSL_CERT_FILE), a server with it asks clients for a certificate
---@field crl string|nil what the CA has revoked
---@field cert string|nil a certificate of one's own, and what else is between it and the CA
---@field key string|nil its private key
---@field passphrase string|nil what the key is encrypted with
---@field psk string|nil a pre-shared key in hexadecimal digits, in place of certificates
---@field psk_identity string|nil the name of that key
---@field server_name string|nil a client's: the name that is asked for (SNI) and checked, in place of the URL's host
---@field alpn string|string[]|nil protocols, such as "mqtt"; without it nothing is said of them
---@field ciphers string|string[]|nil suites by their IANA names
---@field min_version string|nil "1.0", "1.1" or "1.2" (1.2)
---@field max_version string|nil the same (1.2)
---@field keylog string|nil a file to which the keys of each connection are appended, so that captures can be read; also by SSLKEYLOGFILE
---@field fragment_max integer|nil 512, 1024, 2048 or 4096: asks for records no larger than that
---@field resume boolean|string|nil "tickets", "ids", or true for both: a client's sessions are resumed (no); a server allows it (both)
---@field insecure boolean|nil a client's: whatever the server shows is taken; the timeline says so
local tls_options = {}

--- What `mqtt.createclient` returns. Handlers are called while the scenario waits, never inside another call.
---@class mqtt_client
local mqtt_client = {}

--- Starts connecting; the outcome goes to `onconnect`. Raises when the client is not disconnected, when `clientid` is
--- not 1 to 255 bytes, for a scheme other than tcp, mqtt, ssl, mqtts, ws, wss, unix, and for a `keepalive` over 65535
--- s. Options: `username`, `password`, `keepalive` (60 s, 0: none), `willtopic`, `willmessage`, `willqos`,
--- `willretain`, `cleansession` (true), `timeout` (10 s), `tls` (a `tls_options`), `ws`, `version` ("3.1.1"). The URL
--- may bring user name and password, `tcp://user:password@host:1883`, with %-escapes where they hold `@ : / ? # [ ] %`; the options go
--- before. An IPv6 address stands in brackets: `tcp://[::1]:1883`.
---@param url string
---@param clientid string
---@param options? table
function mqtt_client:connect(url, clientid, options) end

--- Sets the function for the outcome of connect: `fn(code)`: 0 accepted, 1 to 5 the refusal of the CONNACK, -1 no
--- connection (refused, unreachable, name not found, timeout, closed or malformed before CONNACK).
---@param fn fun(code: integer)|nil
function mqtt_client:onconnect(fn) end

--- Sets the function for a lost connection: `fn(reason)`: -1 the socket failed or the broker closed, -2 inbound rate
--- exceeded, -3 inbound message larger than the limit, -4 malformed or out-of-place packet. Once for each connection
--- that was accepted and not ended by disconnect or close, after the results of what it took along.
---@param fn fun(reason: integer)|nil
function mqtt_client:onconnectionlost(fn) end

--- Sets the function for messages: `fn { topic, message, qos, retain, dup }`; `retain` and `dup` are 0 or 1.
---@param fn fun(message: table)|nil
function mqtt_client:onmessage(fn) end

--- A message that can be sent, also while disconnected; options `qos` (0) and `retain` (false). Raises for a bad topic
--- (invalid UTF-8, empty, U+0000, a wildcard, over 65,535 bytes), a qos outside 0 to 2, a payload over the limit.
---@param topic string
---@param message string
---@param options? table
---@return mqtt_message
function mqtt_client:createmessage(topic, message, options) end

--- Subscribes; returns 0 or an error code. `fn(mode)` gets the granted QoS, 0 to 2, or 128, a list of them for a list
--- of topics, or a negative code.
---@param topics string|string[] 1 to 10
---@param qos? integer|integer[]
---@param fn? fun(mode: integer|integer[])
---@return integer
function mqtt_client:subscribe(topics, qos, fn) end

--- Unsubscribes; returns 0 or an error code. `fn` gets 0 or a negative code.
---@param topics string|string[] 1 to 10
---@param fn? fun(code: integer)
---@return integer
function mqtt_client:unsubscribe(topics, fn) end

--- Ends the connection in order; `fn()` once it is down. Connecting again before that raises.
---@param fn? fun()
function mqtt_client:disconnect(fn) end

--- Whether the broker has accepted and the connection is up. Already false in the callbacks of its end.
---@return boolean
function mqtt_client:isconnected() end

--- Drops everything now; every message that waits gets its result. May be called again.
function mqtt_client:close() end

--- What `createmessage` returns.
---@class mqtt_message
local mqtt_message = {}

--- Publishes; `fn(code)` is called once, never before this has returned. Raises when the client is not connected, and
--- "rate limited" over `outrate`. Each call is a new publish.
---@param fn? fun(code: integer)
function mqtt_message:sendasync(fn) end

--# Scenarios

--- Declares a scenario: `fn(t)` is run with a context of its own. Options: `tags` (a text or a list), `clause` (the
--- identifiers it is about), `timeout` (10 s), `net` ("real" or "sim": only there), `broker` ("builtin" or "mosquitto":
--- only with that), `transport` ("tcp": only where `--transport` is that), `params` (names and default values, changed by
--- `--param`). Names are unique in a file.
---@param name string
---@param options? table
---@param fn fun(t: t)
function rig.scenario(name, options, fn) end

--- Stands at the top of a file that `mqrig explore` has made of a scenario file: of its scenarios only the one of that name
--- is declared, with the faults of `lines` on its clients' links, as `t:case` has them. Expectations may fail then; the
--- invariants must hold, and it must end. Options: `net`, `seed`, `timeout`, `params`.
---@param name string
---@param options table
---@param lines string
function rig.explored(name, options, lines) end

--- The beginning of an expectation: `expect(code):equals(0)`.
---@param value any
---@return expectation
function rig.expect(value) end

--- The context of a scenario. It owns all that it makes, and closes it in reverse order when the scenario ends, however
--- it ends. Waiting calls have the option `within` (5 s); when that is over the scenario fails with what it waited for.
---@class t
---@field broker broker The broker under test that the command line chose, fresh for this scenario, started at its first use.
---@field params table Parameters by name.
---@field seed integer What all randomness of the scenario begins with.
---@field net string "real" or "sim".
local t = {}

--- A mosquitto of its own; `conf`: lines for its mosquitto.conf, a text or a list. Fails where mosquitto is not
--- installed. With `websockets = true` it listens for WebSockets, too, at `.ws_url`. `tls`: `{ cert, key }` and perhaps
--- `ca` (clients must show a certificate), `crl`, `min_version`; or `{ psk, psk_identity }`. `transport` as `t:builtin`.
---@param options? { conf: string|string[], name: string, websockets: boolean, tls: tls_options, transport: string }
---@return broker
function t:mosquitto(options) end

--- A built-in broker of its own. Options: `url` ("tcp://127.0.0.1:0", port 0: a free one) or `transport` ("tcp", "unix",
--- "tls", "ws", "wss"; "tls" where `tls` is given), `tls` (its certificate: `t:pki().server`), `name`, `queued_max`,
--- `message_max`, `inflight_max`, `backlog`, `accept_max`, `send_buffer`, `receive_buffer`. With `url =
--- "ws://127.0.0.1:0/mqtt"` it is a WebSocket's, and has the option `ws`: what it answers to the upgrade, right or wrong:
--- `{ protocol = "mqtt", headers = { Name = "value" }, status = 404, accept = "a wrong key", frame_max = "64k" }`.
---@param options? table
---@return broker
function t:builtin(options) end

--- A scripted broker: does as the built-in one until `peer:on` or a fault rule says otherwise. Options as `t:builtin`.
---@param options? table
---@return peer
function t:peer(options) end

--- A fault proxy in front of a broker: `t:proxy { upstream = peer }`; without `upstream` in front of the broker under
--- test. Clients connect to its `.url`. `upstream` is a broker, a peer, another proxy, or a URL. A client for whom the
--- upstream cannot be reached is reset, with `closes = true` it sees an end of file. An upstream with TLS is reached
--- through it, unseen: rules on packets see none, and the proxy's log says so; with `tls` (a server's) and `upstream_tls`
--- (a client's) TLS ends at the proxy and begins anew, and rules see packets; with `upstream_tls` alone its clients need
--- none. WebSocket ends and begins at the proxy; `url` and `upstream` may be of different schemes. Rules on "tls" are
--- about the TLS that ends at the proxy: `proxy.down` towards clients, `proxy.up` towards the upstream.
---@param options? { upstream: broker|peer|proxy|string, url: string, name: string, connect_timeout: duration, closes: boolean, accept_max: integer, send_buffer: integer, receive_buffer: integer, tls: tls_options, upstream_tls: tls_options }
---@return proxy
function t:proxy(options) end

--- A scenario client, not connected. Options: `id` (a generated one of at most 23 bytes), `broker` or `url` (t.broker),
--- `version`, `clean` (true), `keepalive` (60 s), `username`, `password`, `will = { topic, payload, qos, retain }`,
--- `timeout` (10 s), `tls` (a `tls_options`), `ws`, `name` (on the timeline), and those of `mqtt.createclient`. `ws` is of `ws://` URLs: `{
--- headers = { Name = "value" }, protocol = "mqtt", frame_max = "64k" }`.
---@param options? table
---@return client
function t:client(options) end

--- A scenario client, connected; raises unless the broker accepts. Options as `t:client`, and `within`.
---@param options? table
---@return client
function t:connect(options) end

--- A connection without a session, open when this returns. Options: `url` or `broker` (t.broker), `timeout`, `within`,
--- `name`, `tls`, `ws`.
---@param options? table
---@return raw_client
function t:raw_client(options) end

--- Certificates to throw away, made in milliseconds when they are asked for: a CA, and servers and clients of it. A
--- server's is for localhost, 127.0.0.1, ::1 and `hosts`: `t:pki { hosts = { "broker.example", "*.local.example" } }`.
---@param options? { hosts: string[] }
---@return pki
function t:pki(options) end

--- A child process, a client under test for instance: the program and its arguments in a list, with `env` (variables
--- added) and `name` beside them. It is killed when the scenario ends. Raises when there is no such program. `mqrig`,
--- `mqrig-proxy` and `plainsocket` are those of the mqrig that runs.
---@param argv table
---@return process
function t:process(argv) end

--- What the name of a host stands for, until the scenario ends: asked before any resolver, and the same in virtual
--- time. `t:dns("broker.example"):fail("NXDOMAIN")`
---@param name string
---@return dns
function t:dns(name) end

--- Waits so long.
---@param d duration
function t:sleep(d) end

--- Seconds since the scenario began.
---@return number
function t:now() end

--- Waits until `fn()` gives a true value, and returns that. Looked at after everything that happens.
---@param fn fun(): any
---@param options? { within: duration }
---@return any
function t:wait(fn, options) end

--- Runs `fn(...)` beside the scenario's function. An error in it fails the scenario; what still runs when the
--- scenario's function returns is ended.
---@param fn function
---@return task
function t:spawn(fn, ...) end

--- Calls `fn()` when the scenario ends, before what was made earlier is closed. It may wait.
---@param fn fun()
function t:defer(fn) end

--- Runs a case, a line for each client, step and fault, as `mqrig explore` writes them:
---
---     broker queued 20
---     client c1 id fleet-1 keepalive 30 kept maxinflight 4 maxbuffered 10 will 1 willretain subscribe a/# 1
---     120ms c1 publish a/1 qos 1 size 16 retain
---     300ms c1 disconnect
---     500ms broker restart
---     fault 700ms c1 rst
---     fault c1 rule up PUBLISH nth 3 across at_byte 7 rst
---     fault 1000ms to 2500ms c1 partition
---     fault c1 latency uniform(5ms,40ms)
---
--- Other steps: `connect`, `close`, `subscribe TOPIC qos N`, `unsubscribe TOPIC`, `flood qos N count M`; of the broker
--- `kill`, `start`, `forget`. Other faults: at a time `fin`, `vanish`; from a time to a time `oneway_up`, `oneway_down`,
--- `stall`; of the whole run `loss 1/20`, `rate 64k`. Clients connect again by themselves. Behind the last line everything is healed, and all that is pending must come to
--- its end. Partitions, latency, loss and rate need `--net sim`.
---@param lines string
function t:case(lines) end

--- A fault experiment: calls `fn(run, params)` for every combination of parameters, and writes a CSV file with a row for
--- each run: the parameters, `sent`, `ok` (how many had the code 0), `codes` ("0:18 -11:2"), `pending`, times until the
--- result and until the delivery (`p50`, `p95`, `max`, in milliseconds), `delivered`, `duplicates`, `missing`. Options:
--- `over = { qos = { 0, 1, 2 }, delay = { 0, 0.02 } }` (the last name varies fastest), `runs` of each combination (1),
--- `columns` of your own, `file` (mqrig-out/experiments/NAME.csv), `settle`: how long a run waits at its end for
--- what is under way (1 s). What a run makes is closed behind it; the scenario's own `timeout` holds for all runs.
---@param options table
---@param fn fun(run: run, params: table)
---@return table[] rows and in `rows.file` the path
function t:sweep(options, fn) end

--- One run of `t:sweep`.
---@class run
---@field number integer Counted from 1.
---@field params table The parameters by name.
---@field delivered integer How many different messages came.
---@field duplicates integer How many came once more.
local run = {}

--- Publishes, and measures; returns a table whose `code` is there once it is known. Options: `qos`, `retain`. Payloads
--- are told apart by their text: a second delivery of the same is a duplicate.
---@param client client
---@param topic string
---@param payload string
---@param options? table
---@return table
function run:send(client, topic, payload, options) end

--- Counts the messages that come to this client.
---@param client client
function run:watch(client) end

--- Waits until every send has its result and has arrived, and returns true; or until the time is over: false.
---@param options? { within: duration }
---@return boolean
function run:settle(options) end

--- Puts a value into a column of the sweep's `columns`.
---@param column string
---@param value any
function run:note(column, value) end

--- Ends the scenario here, as skipped: it cannot be run in these surroundings, for this reason.
---@param reason string
function t:skip(reason) end

--- Puts a line on the timeline; values that are no text are printed in full.
function t:log(...) end

--- As `math.random`, from the scenario's seed: a number from 0 to 1, an integer from 1 to m, or from m to n; of a list
--- one item.
---@param m? integer|table
---@param n? integer
function t:random(m, n) end

--- Calls `fn(done)`, waits until `done` is called, and returns what it was called with: `t:await(function(done)
--- message:sendasync(done) end)`.
---@param fn fun(done: function)
---@param options? { within: duration }
function t:await(fn, options) end

--- What `t:spawn` returns.
---@class task
---@field done boolean Whether it has ended.
local task = {}

--- Waits for its end, and returns what its function returned.
---@param options? { within: duration }
function task:join(options) end

--- Ends it where it stands; its to-be-closed variables are closed.
function task:cancel() end

--# Clients

--- The `mqtt` client with verbs that wait. A verb raises unless the result is 0; its `try_` form returns the code.
---@class client
---@field id string The client identifier.
---@field name string Its name on the timeline.
---@field url string Where it connects to.
---@field state "disconnected"|"connecting"|"connected"|"disconnecting"
---@field inflight integer Messages whose first byte was handed over and whose handshake is not complete.
---@field buffered integer Messages accepted whose first byte was not handed over yet.
---@field unknown_acks integer Acknowledgements that came and fitted nothing in flight; they complete nothing.
---@field mqtt mqtt_client The client of the mission underneath; handlers set there are called besides the verbs' own.
---@field link link Where faults happen to its connection.
---@field sys system_calls Makes its own system calls fail: `c.sys:on("send"):nth(3):short(4)`.
local client = {}

--- Connects; raises unless the broker accepts.
---@param options? { within: duration }
---@return client
function client:connect(options) end

--- Connects; returns 0, the CONNACK's code, or -1.
---@param options? { within: duration }
---@return integer
function client:try_connect(options) end

--- Ends the connection in order and waits until it is down; raises when there is none.
---@param options? { within: duration }
---@return integer
function client:disconnect(options) end

--- As `disconnect`; returns -3 when there is no connection.
---@param options? { within: duration }
---@return integer
function client:try_disconnect(options) end

--- Drops everything now. Every token gets its code.
function client:close() end

--- Publishes and waits for the result; raises unless it is 0. Options: `qos` (0), `retain` (false), `within`.
---@param topic string
---@param payload? string
---@param options? table
---@return integer
function client:publish(topic, payload, options) end

--- Publishes, waits for the result, and returns it.
---@param topic string
---@param payload? string
---@param options? table
---@return integer
function client:try_publish(topic, payload, options) end

--- Publishes and returns a token at once; when not connected, a token with the code -3. Options: `qos` (0), `retain`
--- (false).
---@param topic string
---@param payload? string
---@param options? table
---@return token
function client:send(topic, payload, options) end

--- Subscribes; returns the granted QoS, or a list of them for a list of filters. Raises for a refusal.
---@param filters string|string[] 1 to 10
---@param qos? integer|integer[]
---@param options? { within: duration }
---@return integer|integer[]
function client:subscribe(filters, qos, options) end

--- As `subscribe`; returns 128 for a refused filter, or a negative code.
---@param filters string|string[]
---@param qos? integer|integer[]
---@param options? { within: duration }
---@return integer|integer[]
function client:try_subscribe(filters, qos, options) end

--- Unsubscribes; raises unless the result is 0.
---@param filters string|string[]
---@param options? { within: duration }
---@return integer
function client:unsubscribe(filters, options) end

--- As `unsubscribe`; returns the code.
---@param filters string|string[]
---@param options? { within: duration }
---@return integer
function client:try_unsubscribe(filters, options) end

--- Takes the oldest message that came, or waits for one: `{ topic, payload, qos, retain, dup, packet_id }`; `retain`
--- and `dup` are booleans, `packet_id` is nil for QoS 0.
---@param options? { within: duration }
---@return message
function client:next_message(options) end

--- The messages that came and were not taken by `next_message`, oldest first. Does not take them.
---@return message[]
function client:messages() end

--- Fails if a message is there, or comes within `for_` (0.2 s).
---@param options? { for_: duration }
function client:expect_no_message(options) end

--- Waits for a packet from this client on the wire, of that type (nil: any) and with these fields; returns it. Looks on
--- from the packet that it returned last, at first from the beginning: what has happened already is not missed.
--- `within` stands among the fields.
---@param type? packet_type
---@param fields? table
---@return packet
function client:wait_sent(type, fields) end

--- Waits for a packet to this client on the wire, as `wait_sent`.
---@param type? packet_type
---@param fields? table
---@return packet
function client:wait_received(type, fields) end

--- Waits until an accepted connection is lost; returns the reason, -1 to -4. Each loss is given once.
---@param options? { within: duration }
---@return integer
function client:wait_lost(options) end

--- Sends bytes as they are on the open connection; raises when there is none.
---@param bytes string
function client:raw(bytes) end

--- Sends one WebSocket frame as it is, as `peer:frame`.
---@param frame frame
function client:frame(frame) end

--- What `client:send` returns.
---@class token
---@field code integer|nil The result; nil until it is known.
---@field packet_id integer|nil nil for QoS 0 and for a send that was refused.
local token = {}

--- Waits for the result code, and returns it.
---@param options? { within: duration }
---@return integer
function token:wait(options) end

--- A name, as a scenario wants it: `t:dns(name)`. The verbs return it, so that they can follow each other:
--- `t:dns("broker.example"):answer("::1", "127.0.0.1"):after_delay("2s")`. What is connected already is left alone.
---@class dns
---@field name string
local dns = {}

--- Looking it up fails, and the connect with -1.
---@param how "NXDOMAIN"|"NODATA"|"SERVFAIL"|"REFUSED"|"TIMEOUT" TIMEOUT: no answer ever comes
---@return dns
function dns:fail(how) end

--- From now on it stands for these addresses. Of several, one that has not answered within 250 ms goes on beside
--- the next, and the first that is connected stays; the families come by turns.
---@param ... string IPv4 or IPv6 addresses
---@return dns
function dns:answer(...) end

--- Looking it up takes so long; without an answer told, it is looked up as ever then.
---@param d duration
---@return dns
function dns:after_delay(d) end

--- It is looked up as ever.
function dns:off() end

--- A connection without a session: sends what no client would.
---@class raw_client
---@field url string Where it connected to.
---@field name string Its name on the timeline.
---@field is_open boolean
---@field link link Where faults happen to it.
---@field sys system_calls Makes its sends and receives fail.
local raw_client = {}

--- Sends bytes as they are, or a packet: `raw:send("PINGREQ")`, `raw:send("PUBLISH", { topic = "a" })`, `raw:send {
--- type = "PUBLISH", … }`.
---@param what string|packet
---@param fields? table
function raw_client:send(what, fields) end

--- The next packet of that type (nil: any), others are passed over. Fails when the connection ends first.
---@param type? packet_type
---@param options? { within: duration }
---@return packet
function raw_client:recv(type, options) end

--- The next so many bytes, as they are. Fails when the connection ends before.
---@param size integer
---@param options? { within: duration }
---@return string
function raw_client:recv_bytes(size, options) end

--- Waits until the other end has closed, and returns how: "fin", "reset", "failed"; and why, a sentence. What came and
--- was not taken is dropped.
---@param options? { within: duration }
---@return string, string
function raw_client:wait_closed(options) end

--- Sends one WebSocket frame as it is, as `peer:frame`.
---@param frame frame
function raw_client:frame(frame) end

--- Closes it.
function raw_client:close() end

--# Brokers and processes

--- A broker: `t.broker`, `t:builtin`, `t:mosquitto`. Of one that was given by its URL only `url` is known; the rest
--- raises.
---@class broker
---@field url string
---@field name string
local broker = {}

--- What it has said since it was started.
---@return string
function broker:log() end

--- Ends it in order: connections are closed, what it persists is kept.
function broker:stop() end

--- Starts it again at the same address.
function broker:start() end

--- stop and start; with `persist = false` sessions and retained messages are lost.
---@param options? { persist: boolean }
function broker:restart(options) end

--- Ends it at once, like SIGKILL: what was not persisted is lost.
function broker:kill() end

--- Like SIGSTOP: connects and bytes are still taken by the kernel, nothing comes back.
function broker:pause() end

--- Ends a pause.
function broker:resume() end

--- A scripted broker; all of `broker`, and more.
---@class peer
---@field url string
---@field name string
---@field up place Faults from its clients to it: `peer.up:on("PUBLISH")…`.
---@field down place Faults from it to its clients.
---@field both place Faults in both directions.
---@field link link All its connections, for actions that happen now.
---@field sys system_calls Makes its own system calls fail: `peer.sys:on("accept"):first():fail()`.
---@field stats table Counts: connections, sessions, retained, subscriptions, messages_in, messages_out, dropped.
local peer = {}

--- `fn(conn, packet)` answers packets of that type instead of the broker; it may wait. When it returns true before it
--- first waits, the broker answers as well. nil takes it away.
---@param type packet_type
---@param fn fun(conn: connection, packet: packet): boolean|nil
function peer:on(type, fn) end

--- Sends a packet on the newest connection: `peer:send("PUBACK", { packet_id = 1 })`. Wrong values are sent as they
--- are.
---@param type packet_type|packet|string
---@param fields? table
function peer:send(type, fields) end

--- Sends bytes as they are on the newest connection.
---@param bytes string
function peer:send_raw(bytes) end

--- Sends one WebSocket frame as it is, right or wrong, on the newest connection: `peer:frame { opcode = "text", payload =
--- "x" }`.
---@param frame frame
function peer:frame(frame) end

--- Connection n, counted from 1; without n the newest that is up. nil if there is none.
---@param n? integer
---@return connection|nil
function peer:conn(n) end

--- The packets that came so far on all its connections, of that type (nil: any), oldest first.
---@param type? packet_type
---@return packet[]
function peer:received(type) end

--- Closes the listener and all connections; sessions stay.
function peer:stop() end

--- Listens again at the same address.
function peer:start() end

--- Ends like a killed process: sessions and retained messages are lost.
function peer:kill() end

--- stop and start; with `persist = false` sessions and retained messages are lost.
---@param options? { persist: boolean }
function peer:restart(options) end

--- Connects and bytes are taken, nothing comes back.
function peer:pause() end

--- Ends a pause.
function peer:resume() end

--- Connections and their ends, as text.
---@return string
function peer:log() end

--- Ends it for good.
function peer:close() end

--- Runs a list of steps beside the scenario: what is to come from the client (`"<"`), and what it is sent (`">"`).
---
--- - `{ "<", "PUBLISH", packet_id = 7, within = 0.5 }`: the next packet is this one, with at least these values. Beside
---   plain values: `...` or `fault.any` (any value), a function that takes the value or not. `"any"`: any packet. Bytes
---   in place of the name: exactly this packet. `"fin"`, `"rst"`, `"close"`: the client ends the connection so (close:
---   in any way). A further CONNECT is that of the next connection.
--- - `{ ">", "CONNACK", session_present = true }`: sends a packet; bytes (`fault.raw`) in place of its name; with
---   `split = n` in pieces of n bytes, `gap` apart. An acknowledgement without `packet_id` answers the packet that came
---   last, a SUBACK grants what was asked for; a function as a value is given that packet.
--- - `{ ">", "rst" }`, also `fin close vanish stall resume`: what `connection` has of that name.
--- - `{ any_order = { { "<", … }, … }, within = 30 }`: all of these, in any order.
--- - `{ "never", "PUBLISH", packet_id = 7, for_ = 5 }`: watches for so long (0.2 s). Other packets stay for later steps.
--- - `"+1.0"` or `"+250ms"` in front of a step: waits so long before it; alone it is a step, too.
--- - `function(conn, packet) … end`: is called with the connection and the packet that came last; it may wait.
---
--- Beside the steps: `within` (5 s) for all, `name`, `default`. The play has a connection to itself, for which the peer
--- does nothing by itself: what comes and is not the next step's fails the scenario, with what was expected over what
--- came, `!` in front of what differs. With `default = true` the peer answers as it would, and other packets pass. A
--- play that begins with CONNECT takes the next connection, any other the one that is up; a scenario has not passed
--- before its plays are through.
---@param script table
---@return play
function peer:play(script) end

--- What `peer:play` returns.
---@class play
---@field name string
---@field step integer The number of the step that it stands at.
---@field done boolean Whether it has ended.
local play = {}

--- Waits until all steps are done.
---@param options? { within: duration }
function play:wait(options) end

--- Ends it where it stands. Its connection stays without answers, until another play takes it.
function play:stop() end

--- One connection of a peer.
---@class connection
---@field number integer Counted from 1 in the order in which the peer accepted.
---@field client_id string Once CONNECT has come.
---@field is_open boolean
---@field up place
---@field down place
---@field both place
---@field link link
local connection = {}

--- Sends a packet to it.
---@param type packet_type|packet|string
---@param fields? table
function connection:send(type, fields) end

--- Sends bytes as they are.
---@param bytes string
function connection:send_raw(bytes) end

--- Sends one WebSocket frame as it is, as `peer:frame`.
---@param frame frame
function connection:frame(frame) end

--- The packets that came on it so far, of that type (nil: any).
---@param type? packet_type
---@return packet[]
function connection:received(type) end

--- Resets it now; bytes before it arrive first.
function connection:rst() end

--- Half-closes it now.
function connection:fin() end

--- From now on nothing passes, and nobody is told.
function connection:vanish() end

--- Stops reading and writing until `resume`.
function connection:stall() end

--- Ends a stall.
function connection:resume() end

--- Closes it in order.
function connection:close() end

--- A fault proxy. Its rules are for all its connections, those that are up and those to come.
---@class proxy
---@field url string Where it listens.
---@field upstream string The URL that it connects to.
---@field name string
---@field up place Faults from the clients to the upstream: `proxy.up:on("PUBLISH"):nth(3):at_byte(7):rst()`.
---@field down place Faults from the upstream to the clients.
---@field both place Faults in both directions.
---@field link link All its connections, for actions that happen now.
---@field stats table Counts: connections, open, unreached, bytes_up, bytes_down, packets_up, packets_down.
local proxy = {}

--- Begins a rule for both directions: `proxy:on("accept"):refuse()`.
---@param what string|string[]
---@return rule_sentence
function proxy:on(what, ...) end

--- Connection n, counted from 1; without n the newest that is up. nil if there is none.
---@param n? integer
---@return proxied_connection|nil
function proxy:conn(n) end

--- Closes the listener and all connections, with `reset = true` by a reset.
---@param options? { reset: boolean }
function proxy:stop(options) end

--- Listens again at the same address.
function proxy:start() end

--- What it has to say: connections and how they ended.
---@return string
function proxy:log() end

--- Ends it.
function proxy:close() end

--- One connection of a proxy: rules for it alone, and actions.
---@class proxied_connection
---@field number integer Counted from 1 in the order in which the proxy accepted.
---@field client_id string Once CONNECT has come; empty before.
---@field is_open boolean
---@field stats table Counts: bytes_up, bytes_down, packets_up, packets_down.
---@field up place
---@field down place
---@field both place
---@field link link
local proxied_connection = {}

--- Resets both ends now; bytes before it arrive first.
function proxied_connection:rst() end

--- Half-closes it now, towards both ends.
function proxied_connection:fin() end

--- From now on nothing passes, and neither end is told.
function proxied_connection:vanish() end

--- Stops reading and writing until `resume`.
function proxied_connection:stall() end

--- Ends a stall.
function proxied_connection:resume() end

--- Closes both ends in order.
function proxied_connection:close() end

--- What `t:pki` returns. All texts are PEM.
---@class pki
---@field ca string the CA's certificate
---@field crl string the list of what it has revoked
---@field server tls_options a good server's `cert` and `key`
---@field client tls_options a good client's `cert` and `key`
local pki = {}

--- `cert` and `key` of a server (or with role "client" of a client) with something wrong about them: "expired",
--- "not_yet_valid", "wrong_host", "untrusted" (by another CA of the same name), "self_signed", "revoked" (it is on
--- `crl`), "weak" (signed over SHA-1), "wrong_purpose" (a server's that is for clients, and the other way round).
---@param kind string
---@param role? "server"|"client"
---@return tls_options
function pki:faulty(kind, role) end

--- The path of a file that holds the text, for programs that want files: `pki:file(pki.ca)`. Gone with the scenario.
---@param text string
---@return string
function pki:file(text) end

--- Removes its files.
function pki:close() end

--- A child process; its output is kept.
---@class process
---@field name string
---@field pid integer
---@field running boolean
---@field status integer|nil The exit status, once it has ended.
---@field output string What it wrote, both streams.
---@field stdout string
---@field stderr string
local process = {}

--- Waits for its end; returns the exit status, or nil and the name of the signal ("KILL") that ended it.
---@param options? { within: duration }
---@return integer|nil status
---@return string|nil signal
function process:wait(options) end

--- Waits until its output matches a Lua pattern; returns the captures.
---@param pattern string
---@param options? { within: duration }
---@return string ...
function process:wait_output(pattern, options) end

--- Sends a signal: "TERM", "KILL", "STOP", "CONT", "HUP", "INT". False if it is gone.
---@param name string
---@return boolean
function process:signal(name) end

--- SIGKILL.
function process:kill() end

--- Runs it again, with the same arguments, once it has ended; its output goes on.
function process:start() end

--- Kills it if it runs, waits for its end, and runs it again.
function process:restart() end

--- SIGSTOP.
function process:pause() end

--- SIGCONT.
function process:resume() end

--- Kills it if it runs.
function process:close() end

--# Faults

--- Where faults happen: a client's link, a peer, one connection of a peer. The actions happen now, on every connection
--- of the place that is up; they raise when there is none.
---@class link
---@field name string
---@field up place Begins a rule on what goes from client to broker.
---@field down place Begins a rule on what goes from broker to client.
---@field both place Begins a rule on both directions.
local link = {}

--- Begins a rule on both directions.
---@param what string|string[]
---@return rule_sentence
function link:on(what, ...) end

--- Installs a rule by its text: `link:rule "up PUBLISH nth 3 at_byte 7 rst"`.
---@param text string
---@return rule
function link:rule(text) end

--- Resets the connection: bytes before it arrive first.
function link:rst() end

--- Half-closes it: the other end sees an end of file, its own writes still arrive.
function link:fin() end

--- From now on nothing passes, and neither end is told. That needs the capability CAP_NET_ADMIN and TCP; without, the
--- connection is not read any more instead, and the timeline says so.
function link:vanish() end

--- Stops the flow both ways until `resume`.
function link:stall() end

--- Ends a stall.
function link:resume() end

--- Closes it in order; where it is stalled, at once and without what the stall holds back.
function link:close() end

--- Sends a TLS alert now, such as "internal_error"; all but the warnings close_notify, user_canceled and no_renegotiation
--- end the connection.
---@param name string
function link:alert(name) end

--- Where a sentence begins.
---@class place
local place = {}

--- What the rule is about: a packet's name, several, `"any"`, `"bytes"`, `"connect"`, `"accept"`, `"close"`.
---@param what string|string[]
---@return rule_sentence
function place:on(what, ...) end

--- Begins a rule on own system calls: what the program on this end of a connection asks of its system, which then fails
--- or comes up short, as a system may. The bytes on the wire stay what they are.
---@class system_calls
local system_calls = {}

--- The call, or several: `"socket"` and `"connect"` of a client, `"accept"` of a peer, `"send"`, `"recv"`, and `"alloc"`,
--- the memory that any of them but connect needs. They can be counted (`first nth range every prob times`), each
--- connection for itself unless `across` is said; socket, connect and accept are counted over all connections. A call is
--- counted when it has something to do: a receive when bytes have come, an accept when somebody has connected. Then
--- `short`, `errno` or `fail`.
---@param what string|string[]
---@return rule_sentence
function system_calls:on(what, ...) end

--- A rule that is not complete: every call adds words, an action at the end installs it and returns the rule. Which
--- packets, which of them (an occurrence), where in them, what is to be done, and whether it must. An unknown word is
--- an error that suggests the near one.
---@class rule_sentence
local rule_sentence = {}

--- Only PUBLISH with this QoS.
---@param n integer
function rule_sentence:qos(n) end

--- Only packets with this packet identifier.
---@param n integer
function rule_sentence:id(n) end

--- Only PUBLISH whose topic matches this filter.
---@param filter string
function rule_sentence:topic(filter) end

--- Only packets of clients whose identifier matches this glob.
---@param glob string
function rule_sentence:client(glob) end

--- Only PUBLISH with DUP set, or with `false` not set. With a number it is an action: the packet goes on, and then so
--- many times more, each an exact copy.
---@param value? boolean|integer
---@return rule|nil
function rule_sentence:dup(value) end

--- Only PUBLISH with RETAIN set, or with `false` not set.
---@param value? boolean
function rule_sentence:retain(value) end

--- Only packets of at least so many bytes, and at most so many.
---@param low integer|string
---@param high? integer|string
function rule_sentence:size(low, high) end

--- Only packets with this reason or return code.
---@param code integer
function rule_sentence:reason(code) end

--- Only packets with this property, or with this value of it. Properties are of MQTT 5.0: in this version an error.
---@param name string
---@param value? any
function rule_sentence:prop(name, value) end

--- Only packets for which `fn(packet)` is true. It must not wait.
---@param fn fun(packet: packet): boolean
function rule_sentence:where(fn) end

--- Only what comes after another rule of the same place has fired, on whichever connection: the rule, or its name.
--- Occurrences are counted from then on.
---@param rule rule|string
function rule_sentence:after(rule) end

--- Only what comes in this time, in seconds since the connection began: from the first up to the second. Occurrences
--- are counted within.
---@param from duration
---@param to duration
function rule_sentence:during(from, to) end

--- The first packet from this time on, counted from the beginning of the connection. On `"bytes"` the rule acts by the
--- clock at that time, whether bytes come or not.
---@param time duration
function rule_sentence:at(time) end

--- Of the packets that match only the first on each connection.
function rule_sentence:first() end

--- Only the nth.
---@param n integer
function rule_sentence:nth(n) end

--- Only those from the first number to the last.
---@param first integer
---@param last integer
function rule_sentence:range(first, last) end

--- Only every nth.
---@param n integer
function rule_sentence:every(n) end

--- Each with this probability, drawn from the seed.
---@param p number|string
function rule_sentence:prob(p) end

--- At most so many times.
---@param n integer
function rule_sentence:times(n) end

--- Occurrences are counted over all connections of the place, not for each.
function rule_sentence:across() end

--- Acts behind so many bytes of the packet; negative: counted from its end.
---@param n integer
function rule_sentence:at_byte(n) end

--- Acts in front of the packet.
function rule_sentence:before() end

--- Acts behind the packet.
function rule_sentence:after_packet() end

--- The rule must fire, so many times (1), or the scenario fails. Rules with an occurrence must anyway.
---@param n? integer
function rule_sentence:must_fire(n) end

--- The rule need not fire.
function rule_sentence:may_fire() end

--- Names the rule on the timeline.
---@param text string
function rule_sentence:name(text) end

--- Action: holds it and everything behind it back for so long; a duration, or a distribution (`fault.normal`).
---@param d duration|table
---@return rule
function rule_sentence:delay(d) end

--- Action: bytes pass at so many a second, and hold everything behind them back; up to 64 KiB wait, then the sender
--- feels it.
---@param bytes_per_s integer|string
---@return rule
function rule_sentence:rate(bytes_per_s) end

--- Action: hands the bytes on in pieces of n, with a gap between them; n is a size, or a distribution of sizes
--- (`fault.uniform(100, 300)`).
---@param n integer|string|table
---@param gap? duration
---@return rule
function rule_sentence:split(n, gap) end

--- Action: gathers bytes until n are there, but no longer than d (0.2 s), and hands them on in one go.
---@param n integer|string
---@param d? duration
---@return rule
function rule_sentence:coalesce(n, d) end

--- Action: nothing passes any more in this direction, for so long or for ever; the sender feels it.
---@param d? duration
---@return rule
function rule_sentence:stall(d) end

--- Action: bytes are taken and thrown away, for so long or for ever.
---@param d? duration
---@return rule
function rule_sentence:blackhole(d) end

--- Action: turns one bit over: bit 0 (the lowest) to 7, of the byte counted from 0 (negative: from the end), of the
--- packet or of one of its fields, by the name that it has in a packet's table; on `"bytes"`, of the stream. What is not
--- said is drawn from the seed.
---@param where? { bit: integer, byte: integer, field: string }
---@return rule
function rule_sentence:corrupt(where) end

--- Action: only the first n bytes of the packet go on, or with a negative n all but the last; what follows it follows
--- at once. On `"bytes"` all behind the first n of the stream is thrown away.
---@param n integer
---@return rule
function rule_sentence:truncate(n) end

--- Action: resets the connection; bytes before the place arrive first. `who`: which end sees a reset, `"client"`,
--- `"broker"` or `"both"`; the other sees an orderly end.
---@param options? { who: "client"|"broker"|"both" }
---@return rule
function rule_sentence:rst(options) end

--- Action: half-closes it.
---@param direction? "up"|"down"
---@return rule
function rule_sentence:fin(direction) end

--- Action: closes it in order.
---@return rule
function rule_sentence:close() end

--- Action: nothing passes any more in this direction, and after that time the connection is closed in order. On
--- `"close"`: the end that is on its way takes so much longer.
---@param d duration
---@return rule
function rule_sentence:slow_close(d) end

--- Action: neither end hears from the other any more, and none is told; see `link:vanish`.
---@return rule
function rule_sentence:vanish() end

--- Action, on connect and accept: the connection is refused.
---@return rule
function rule_sentence:refuse() end

--- Action, on connect: nothing is sent, and the connect timeout ends it. On accept of a peer or a proxy: for as long as
--- the rule is there, the system answers nobody who wants to connect; it takes no occurrence, since nobody sees them.
---@return rule
function rule_sentence:no_answer() end

--- Action, on connect and accept of a proxy: the client is accepted, and what it sends goes nowhere.
---@return rule
function rule_sentence:dead_upstream() end

--- Action, on "tls" of a peer whose certificate is of `t:pki`: it shows one of that kind in its place: "expired",
--- "not_yet_valid", "wrong_host", "untrusted", "self_signed", "revoked", "weak". Nobody resumes a session then.
---@param kind string
---@return rule
function rule_sentence:cert(kind) end

--- Action, on "tls": sends the alert of that name, such as "internal_error", once the handshake is over, or in place of
--- a message of it, such as "ServerHello". All but warnings end the connection.
---@param name string
---@param message? string
---@return rule
function rule_sentence:alert(name, message) end

--- Action, on "tls": the handshake stands still before that message, its own or the other end's, so long; without a
--- duration for good. ClientHello, ServerHello, Certificate, ServerKeyExchange, CertificateRequest, ServerHelloDone,
--- ClientCertificate, ClientKeyExchange, CertificateVerify, ChangeCipherSpec, ClientFinished, NewSessionTicket,
--- ServerChangeCipherSpec, ServerFinished.
---@param message string
---@param d? duration
---@return rule
function rule_sentence:stall_at(message, d) end

--- Action, on "tls": when this end ends the connection in order, it does not say close_notify before.
---@return rule
function rule_sentence:close_without_notify() end

--- Action: takes the packet away.
---@return rule
function rule_sentence:drop() end

--- Action: the next n packets (1) of the direction overtake it; what overtakes is not overtaken itself. With the end of
--- the direction it goes on without waiting for more.
---@param n? integer
---@return rule
function rule_sentence:overtake(n) end

--- Action: takes the packet out of the stream until `rule:release`.
---@return rule
function rule_sentence:hold() end

--- Action: `fn(packet)` gives the packet or the bytes that go on instead; nil: the packet as the function left it;
--- false: nothing. It must not wait.
---@param fn fun(packet: packet): packet|string|boolean|nil
---@return rule
function rule_sentence:rewrite(fn) end

--- Action: puts bytes or a packet behind the one that matched, or in front of it.
---@param what string|packet
---@param where? "before"
---@return rule
function rule_sentence:inject(what, where) end

--- Action, on own system calls: send takes, or recv gives, no more than this many bytes at once; the rest is there for
--- the next call.
---@param bytes size
---@return rule
function rule_sentence:short(bytes) end

--- Action, on own system calls: the call fails with this error, `"EPIPE"`. What follows is what follows of the system's:
--- after EINTR and EAGAIN it is tried again, a millisecond later; other errors of send and recv end the connection (-1),
--- those of socket and connect the connect (-1); of accept ECONNABORTED, EPROTO and EPERM end the connection that has
--- come, after others it is accepted later.
---@param name string
---@return rule
function rule_sentence:errno(name) end

--- Action, on own system calls: the call fails, with the error that is likely: EMFILE of socket and accept, ECONNREFUSED
--- of connect, ECONNRESET of send and recv, ENOMEM of alloc.
---@return rule
function rule_sentence:fail() end

--- A rule that is installed. As a `<close>` variable it ends with its block.
---@class rule
---@field text string The canonical text: `up PUBLISH nth 3 at_byte 7 rst`.
---@field seen integer How many packets matched.
---@field fired integer How many times it acted.
local rule = {}

--- Waits until it has acted, `times` times (1).
---@param options? { within: duration, times: integer }
function rule:wait(options) end

--- Lets the n oldest held packets go; without n all, and the rule ends. Returns how many went.
---@param n? integer
---@return integer
function rule:release(n) end

--- Ends the rule; what it holds goes on.
function rule:off() end

--- As in the sentence, said behind the action.
---@param n? integer
---@return rule
function rule:must_fire(n) end

--- As in the sentence, said behind the action.
---@return rule
function rule:may_fire() end

--- As in the sentence, said behind the action.
---@param text string
---@return rule
function rule:name(text) end

--- `local fault = require("mqrig").fault`: values that rules and peers take.
---@class fault
---@field any any Stands for any value in what a play expects.
local fault = {}
rig.fault = fault

--- Bytes from typed hex: `fault.raw "62 r2 m1"`: `62` bytes in hex, `r2` a remaining length, `m1` a 16-bit number,
--- `s"text"` a text with its length in front, `b"text"` a text without.
---@param text string
---@return string
function fault.raw(text) end

--- Always this delay. For `delay` the values of a distribution are durations; for `split` they are sizes.
---@param delay duration|integer
function fault.fixed(delay) end

--- Delays around a mean with this deviation, never below 0.
---@param mean duration
---@param deviation duration
function fault.normal(mean, deviation) end

--- Delays from low to high, each as likely.
---@param low duration
---@param high duration
function fault.uniform(low, high) end

--- Many short delays, few long ones.
---@param mean duration
function fault.exponential(mean) end

--- Delays of at least this, with a tail that is the longer the smaller the shape: half of them are below
--- `least * 2^(1/shape)`.
---@param least duration
---@param shape number
function fault.pareto(least, shape) end

--- Whether a value is one of these distributions.
---@param value any
---@return boolean
function fault.is_distribution(value) end

--# Simulation

--- `local net = rig.net`: what only a simulated network can do (`--net sim`); on a real one each of these ends the scenario
--- as skipped. A node is a client, raw client, peer, broker or proxy of the scenario, or its name; where a list of
--- nodes is given, what is said holds for each pair. A name may be of a node that is made later; one that there never was
--- fails the scenario. What is not told otherwise takes 50 to 100 us on every way.
---@class net
local net = {}
rig.net = net

--- Nothing passes between them, in either direction, until healed. Nobody is told: what was sent is sent again, later
--- and later, as TCP does.
---@return net
function net:partition(a, b) end

--- Nothing passes from a to b. What b sends arrives.
---@return net
function net:oneway(a, b) end

--- That part of what is sent, a number from 0 to 1 or `"5%"`, is lost and sent again 200 ms later or more: on all ways, or
--- between two nodes.
---@param p number|string
---@return net
function net:loss(p, a, b) end

--- Ends partitions and losses, everywhere or between two nodes. What was held back goes on when it is sent again next.
---@return net
function net:heal(a, b) end

--- How long the way takes, a duration or a distribution (`fault.normal(...)`): everywhere or between two nodes.
---@param delay duration
---@return net
function net:latency(delay, a, b) end

--- Bytes a second that a way carries, all connections on it together; 0: no limit.
---@param bytes_per_s integer|string
---@return net
function net:rate(bytes_per_s, a, b) end

--- The link between two nodes: the same as above without naming them, and a place for fault rules, if one of the nodes is
--- a client that connects to the other.
---@return net_link
function net:link(a, b) end

--- What `net:link` returns; its rules and actions are those of a `link`.
---@class net_link
---@field name string
---@field up place Begins a rule on what goes from client to broker.
---@field down place Begins a rule on what goes from broker to client.
---@field both place Begins a rule on both directions.
local net_link = {}

--- Begins a rule on both directions.
---@return rule_sentence
function net_link:on(what, ...) end

--- Nothing passes, in either direction.
---@return net_link
function net_link:partition() end

--- Nothing passes from the first node to the second.
---@return net_link
function net_link:oneway() end

--- Ends both, and loss.
---@return net_link
function net_link:heal() end

--- That part of what is sent is lost and sent again later.
---@param p number|string
---@return net_link
function net_link:loss(p) end

--- How long the way takes, a duration or a distribution.
---@param delay duration
---@return net_link
function net_link:latency(delay) end

--- Bytes a second that a way carries; 0: no limit.
---@param bytes_per_s integer|string
---@return net_link
function net_link:rate(bytes_per_s) end

--- Resets the connection.
function net_link:rst() end

--- Half-closes it.
function net_link:fin() end

--- From now on nothing passes on it, and neither end is told.
function net_link:vanish() end

--- Stops the flow both ways until `resume`.
function net_link:stall() end

--- Ends a stall.
function net_link:resume() end

--- Closes it in order.
function net_link:close() end

--- `rig.clock(node)`: the clock that a node goes by, or a list of them, in simulation.
---@class clock
local clock = {}

--- Goes forward by that much, or back: `jump "1h"`, `jump "-5s"`, `jump(-5)`.
---@param by duration
---@return clock
function clock:jump(by) end

--- Shows `a` seconds in `b` real ones: `drift(11, 10)` is fast, `drift(1, 1)` is right again.
---@param a integer
---@param b integer
---@return clock
function clock:drift(a, b) end

--- The clock of a node, or of a list of nodes.
---@return clock
function rig.clock(node) end

--# Expectations

--- `expect(value)` and a verb. A failure names what was expected, what came, and how the two nearly agree; result codes
--- print with their names. Verbs return the expectation, so that more can follow.
---@class expectation
local expectation = {}

--- Equal; tables when they hold the same. 1 equals 1.0, "1" does not equal 1.
---@param wanted any
function expectation:equals(wanted) end

--- Not equal.
---@param other any
function expectation:differs(other) end

--- true itself, not what merely counts as true.
function expectation:is_true() end

--- false itself.
function expectation:is_false() end

--- nil.
function expectation:is_nil() end

--- A text contains a text; a table an item, or all the fields of a table.
---@param part any
function expectation:contains(part) end

--- A text matches a Lua pattern; a table has the fields of a table, at any depth.
---@param pattern string|table
function expectation:matches(pattern) end

--- A number from a to b, both included.
---@param a number
---@param b number
function expectation:is_between(a, b) end

--- A number of at least this.
---@param low number
function expectation:is_at_least(low) end

--- A number of at most this.
---@param high number
function expectation:is_at_most(high) end

--- Equal to one of the list.
---@param list any[]
function expectation:is_one_of(list) end

--- The value is a function; called, it raises an error; with a pattern, one whose text contains or matches it.
---@param pattern? string
function expectation:raises(pattern) end

--# Packets and messages

--- A WebSocket frame to be sent as it is; what is not said is as it should be. Of `opcode = "close"`: `code` and
--- `reason`, instead of `payload`. `bytes` stand in the place of a whole frame.
---@class frame
---@field opcode? integer|"continuation"|"text"|"binary"|"close"|"ping"|"pong" "binary"; or a number up to 15
---@field payload? string
---@field fin? boolean Whether it ends its message (true).
---@field rsv? integer The reserved bits, 0 to 7.
---@field mask? boolean A client's frames are masked, a server's are not.
---@field code? integer
---@field reason? string
---@field bytes? string
local frame = {}

--- A packet, the same table everywhere: what was on the wire, and what is to be built. When building, fields left out
--- have their defaults, and wrong values are encoded as they are.
---@class packet
---@field type packet_type
---@field raw string The bytes, of a packet that came.
---@field flags integer The low four bits of the first byte.
---@field dup boolean PUBLISH.
---@field qos integer PUBLISH.
---@field retain boolean PUBLISH.
---@field packet_id integer PUBLISH over QoS 0, acknowledgements, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK.
---@field topic string PUBLISH.
---@field payload string PUBLISH.
---@field protocol_name string CONNECT.
---@field protocol_version integer CONNECT.
---@field client_id string CONNECT.
---@field clean boolean CONNECT.
---@field keepalive integer CONNECT, in seconds.
---@field username string CONNECT.
---@field password string CONNECT.
---@field will table CONNECT: `{ topic, payload, qos, retain }`.
---@field session_present boolean CONNACK.
---@field reason_code integer CONNACK.
---@field subscriptions table[] SUBSCRIBE: `{ { filter, qos }, … }`, also by name: `item.filter`, `item.qos`.
---@field reason_codes integer[] SUBACK.
---@field filters string[] UNSUBSCRIBE.

--- What `client:next_message` returns.
---@class message
---@field topic string
---@field payload string
---@field qos integer
---@field retain boolean
---@field dup boolean
---@field packet_id integer|nil nil for QoS 0.
---@field properties table|nil

return rig
