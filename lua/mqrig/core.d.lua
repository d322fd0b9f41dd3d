---@meta mqrig.core
-- What the C side gives to the Lua library, and to nobody else: scenarios see `mqrig` only.
-- Times are integers, monotonic nanoseconds. Callbacks run inside core.turn only (close and free excepted, which give the
-- pending results of what they end). A Lua error in a callback is caught and goes to core.on_error.

local core = {}

--- The world. One at a time in a process.
function core.open() end                       -- makes the real world; raises with a sentence
function core.close() end                      -- ends it; everything in it must have been closed
---@return integer now_ns
function core.now() end
--- One turn of the loop; callbacks run in it. Returns early when something happened.
---@param until_ns integer|nil nil: no limit
function core.turn(until_ns, quiet) end -- quiet: in a virtual world it may be many turns, until a function was called
function core.wake() end
---@param fn fun(message: string) what to do with an error raised in a callback (traceback included)
function core.on_error(fn) end
---@return core.timer
function core.timer(at_ns, fn) end             -- fn() once; timer:cancel()

--- Timeline.
---@class core.timeline
--- tl:note(text)                  an entry of kind note
--- tl:who(name) -> integer        a participant
--- tl:last() -> integer           number of the newest entry, 0 at first
--- tl:find(after, who, direction, type, fields) -> packet, number | nil, number
---     first packet entry after number `after`; direction "up"/"down"; type name or nil; fields: nil or a table of values that the decoded packet must
---     have. Second result: the number to go on from next time.
--- tl:lines(most [, first]) -> {string, ...}   the newest `most` lines, formatted, oldest first
--- tl:entry(n) -> { number=, at_ns=, who=name, kind="up|down|open|end|fault|note", text=, bytes= }
--- tl:dropped() -> integer        how many entries were dropped for space
---     a fault at a packet: kind "fault", with direction=, packet_index=, offset= and bytes= of the packet
--- tl:story(most, whole) -> { { line, faults }, ... }   the newest lines for people: faults with the packets that they hit; what both ends of a
---     connection saw once, or, if `whole`, each
function core.timeline() end                   -- a new one, beginning now
---@param tl core.timeline|nil where things made from now on put what happens to them
function core.use_timeline(tl) end

--- tl:tell(what, who, code, value, id)   what only a checker of the run wants to know: "healed" (value: ns until all must be well),
---     "quiet" (value 1: nothing but pings from here; 0: to here), "wanted" (who, code 1 or 0), "sheltered" (who), "settled" (everybody
---     had the time to finish what was begun), "resource" (code, value, id 0: at the beginning, 1: at the end)
--- The invariants. `observe`: sees entries as they come, and not only what is still there at the end.
---@class core.checker
--- checker:count() -> integer       broken so far, of what it has seen
--- checker:judge() -> { { id=, number=, promise=, who=, text=, at_ns=, entry=, line=, cause_line= }, ... }   the run is over
function core.checker(timeline, slack_ns, observe) end
--- What is in use: what somebody has made in the world (a virtual one: on all its hosts) and not ended; bytes of buffers and messages.
function core.usage() end                      -- { streams=, listeners=, timers=, memory= }
function core.usage_list() end                 -- { line, ... }: one for each stream, listener and timer
function core.descriptors() end                -- { [fd] = "socket:[4711]", ... } of this process; no files, no pipes
function core.invariants() end                 -- { { id=, promise= }, ... }, 36

--- Packets. Tables as the scripting reference says.
---@param packet table @{ type="PUBLISH", ... }; raises for an unknown field (near name) or what has no encoding
---@param version integer|nil 4
---@return string bytes
function core.encode(packet, version) end
--- -> packet, size | nil, "more" | nil, sentence, offset, clause
function core.decode(bytes, offset, version) end
function core.describe(bytes, version) end     -- one line
---@param role "client"|"broker"
function core.strict(bytes, role, version) end -- { {clause=, text=}, ... }
function core.show(text, most) end             -- text made safe to print

--- The API of the mission: createclient and constants; see the reference. Made in C whole.
core.mqtt = {}
--- What the scenario library needs of an mqtt client beyond it:
function core.client_publish(client, topic, payload, qos, retain, fn) end -- -> packet_id|nil; raises as sendasync; `fn(code)`
function core.client_raw(client, bytes) end      -- -> boolean
function core.client_frame(client, frame) end    -- one WebSocket frame, the scripting reference's table; so conn:frame, raw:frame
function core.client_stats(client) end           -- { state=, inflight=, buffered=, ids_used=, unknown_acks= }
function core.client_who(client) end             -- participant number on the timeline
function core.client_name(client, name) end      -- names it on the timeline
function core.client_scope(client) end           -- core.scope of its link, made at first use

--- Fault scopes. The same for clients, peers and single peer connections.
---@class core.scope
--- scope:rule(text [, {where=fn(packet)->bool, rewrite=fn(packet)->packet|bytes|nil}]) -> core.rule; raises with the parser's sentence
--- scope:act("rst"|"fin"|"vanish"|"stall"|"resume"|"close") or ("alert", name)   on all connections of the scope that are up, now
---@class core.rule
--- rule.number its place among the rules of its scope, from 1; rule.seen, rule.fired integers; rule:off(); rule:release([n]) -> integer; rule:text(); rule:met() -> true | false, sentence

--- Peers: listening brokers.
---@param options { url=string|nil, name=string|nil, queued_max=, message_max=, inflight_max=, backlog=, accept_max=, on={...} }
---@return core.peer
--- peer:url(); peer:scope(); peer:stop([reset]); peer:kill(); peer:start(); peer:pause(bool); peer:forget(); peer:close(); peer:count(); peer:stats()
--- peer:handler(type, fn|nil)    fn(conn, packet) for packets of that type that come in: it answers instead of the broker; returning true lets the broker have it too
--- peer:on_taken(fn(conn, packet|bytes))   everything that comes on a connection that conn:take(driven) took; driven: the broker leaves it alone
--- peer:on_accept(fn(conn)); peer:on_end(fn(conn, why)); peer:on_trouble(fn(sentence))
--- peer:conn([n]) -> core.conn | nil    nil: the newest
--- conn:send(bytes) -> boolean; conn:number(); conn:who(); conn:client_id(); conn:act(verb [, direction]); conn:scope(); conn:is_open()
function core.peer(options) end

--- Raw clients: no session.
--- raw:send(bytes) -> boolean; raw:take() -> bytes (all that came); raw:take(n); raw:peek() -> bytes; raw:close(); raw:who(); raw:scope()
---@param handlers { opened=fn(), input=fn(), ended=fn(how, why) }  how: "fin" "reset" "refused" "timeout" "unreachable" "failed"
---@param options { ws=table|nil }|nil
function core.rawclient(url, timeout_ns, handlers, options) end

--- Processes of the real world.
--- process:pid(); process:signal(name) -> boolean ("KILL" "TERM" "STOP" "CONT" "HUP" "INT"); process:is_running(); process:close()
---@param options { env={K=V}|nil, output=fn(which, text), exited=fn(status, signal|nil) }
function core.spawn(argv, options) end
---@return integer port free on 127.0.0.1 a moment ago
function core.free_port() end
--- What this world tells of a name instead of asking; each raises what is wrong.
function core.name_answer(name, address) end     -- one more address
function core.name_fail(name, how) end           -- "NXDOMAIN" "NODATA" "SERVFAIL" "REFUSED" "TIMEOUT"
function core.name_delay(name, delay_ns) end
function core.name_forget(name) end
function core.url_check(url) end               -- -> { scheme=, host=, port=, path= } | nil, sentence

--- Workers: forked copies of the runner. In the child `body(channel)` runs and its return value is the exit status.
--- channel:send(string) a message (any bytes); channel:on(fn(string|nil)) each message that comes, nil at the end; channel:close(); child only: channel:receive() -> string|nil, waits
---@return core.worker @worker:send(s), worker:pid(), worker:signal(name), worker:is_running(), worker:close(); worker:take_output() gives what it has written to `output` now
---@param handlers { message=fn(string), output=fn(which, text), exited=fn(status, signal|nil) }
function core.fork(body, handlers) end
--- Kills what nobody holds any more: children of children that have gone, and what was started without core.spawn.
function core.end_orphans() end
--- SIGINT and SIGTERM call fn(name) in turns instead of ending the process; nil restores the default.
function core.on_signal(fn) end

--- Running code that is not trusted to end.
--- -> true, results... | false, message (with traceback). An error is raised in it once `deadline_ns` has passed without a return or yield ("never yields").
function core.guarded(deadline_ns, fn, ...) end
--- As coroutine.resume, with the same deadline.
function core.guarded_resume(deadline_ns, co, ...) end
---@param bytes integer more than this in Lua's heap raises "not enough memory" in whoever asks; 0: no limit
function core.memory_limit(bytes) end
function core.memory_used() end
function core.descriptors_left() end

--- Files and the terminal, as far as Lua's own io does not do it.
function core.is_terminal(fd) end              -- boolean
function core.directory(path) end              -- { {name=, is_directory=}, ... } sorted | nil, sentence
function core.make_directory(path) end         -- with parents; true | nil, sentence
function core.remove_tree(path) end            -- a directory that core.temporary_directory made
function core.temporary_directory() end
function core.realpath(path) end
function core.executable() end                 -- path of this program
function core.cores() end                      -- processors
function core.defects() end                    -- { { name=, text= }, ... }: mistakes that can be switched on
function core.defect(name) end                 -- switches one on for this process and what it forks; "none": off
function core.wall_clock() end                 -- seconds since 1970, float: for reports only
core.version = ""

return core

-- Added
--- peer options: scripted=boolean (default true). false: packets are not shown to handlers, which costs less.
--- A fault rule's text, checked without a place to put it: its canonical form, or nil and the parser's sentence.
function core.rule_check(text) end
--- Whether a connection can end without a word to the other end; else why not, and what is done instead.
---@return boolean, string|nil
function core.can_vanish() end

--- TLS. Options of it are the field `tls` of what core.mqtt's connect, core.peer and core.rawclient are given.
--- Certificates: pki:ca(), pki:crl(), pki:stranger(), pki:pair("server"|"client", kind) -> certificate, key; pki:close()
function core.pki(hosts) end
function core.pki_kinds() end                    -- names
function core.trust(ca) end                      -- whom clients trust that say nothing of TLS; nil: whom the system does

--- Fault proxies.
---@class core.proxy
--- proxy:url(); proxy:upstream([new]) -> URL; proxy:scope(); proxy:stop([reset]); proxy:start(); proxy:stats(); proxy:close()
--- proxy:on_accept(fn(conn)); proxy:on_end(fn(conn, why)); proxy:on_trouble(fn(sentence))
--- proxy:conn([n]) -> core.proxy_conn | nil    nil: the newest
--- conn:number(); conn:who(); conn:client_id(); conn:act(verb); conn:scope(); conn:is_open(); conn:stats()
--- proxy:log(fn(line), { json=, quiet=, seed= })   what happens, in lines, from now on; proxy:summary() adds the counts
--- proxy:record(core.record)   connections from now on are recorded there
---@param options { url=, upstream=, tls=, upstream_tls=, tls_made=core.proxy_tls, name=, connect_timeout_ns=, closes=boolean, accept_max=, send_buffer=, receive_buffer= }
function core.proxy(options) end
--- What goes through proxies, as a file for packet analysers. record:close() -> true | nil, sentence
function core.record(path, comment) end
--- The HTTP interface to proxies. control:url(); control:summary() -> whether `proxy` is among them; control:close(). The proxy is called "mqtt" there.
---@param options { at=, proxy=core.proxy|nil, hosts={...}|nil, seed=, record=core.record|nil, json=, quiet=, line=fn(line), closes=, accept_max=, connect_timeout_ns=, tls_made=core.proxy_tls|nil }
function core.control(options) end
--- TLS as the command line has it, in place of `tls` and `upstream_tls`. made:publish(); made:tell(fn(line), json);
--- made:close(). Raises a sentence about the options.
---@param options { listen=url|nil, upstream=url|nil, fixed=boolean, options={ { "tls-cert", "a.pem" }, ... } }
function core.proxy_tls(options) end
function core.proxy_tls_options() end          -- { { name=, clients=, upstream=, argument=|nil, help= }, ... }
function core.control_check(address) end       -- -> true | nil, sentence

--- The real clock, also while a virtual world stands in front: what must end within real time goes by it.
---@return integer ns
function core.real_now() end

--- An order for everything, the same in each process: what `pairs`, `next`, `table.sort` and `tostring` are in simulation.
function core.pairs(value) end
function core.next(table, key) end
function core.sort(list, is_less) end            -- what is equal keeps its order
function core.text(value) end                    -- objects are numbered in the order in which they are asked for
function core.forget_names() end                 -- that numbering begins anew

--- tl:line(n) -> text|nil: entry n, of whatever kind; of a simulation: tl:hash(), tl:hashes([from]) -> 8 bytes an entry: rolling

--- The virtual world in front of the real one. Names of hosts: 1 to 63 of a-z 0-9 - _ .
core.sim = { epoch_s = 0 }                       -- when its clocks begin, in seconds since 1970
---@param options { seed=integer, events_max=, in_order=boolean, whole=boolean }
function core.sim.enter(options) end
function core.sim.leave() end                    -- ends all that was made in it
function core.sim.is_on() end
function core.sim.at(name) end                   -- what is made from now on is at home on that host; nil: on the main one
---@param from string|nil nil, nil: all ways that were not set for themselves
---@param fields { latency=text|false, rate=, loss={part, of}, refuse=, no_answer=, cut=boolean } those given change
function core.sim.link(from, to, fields) end
function core.sim.jump(host, by_ns) end
function core.sim.drift(host, shown, real) end
function core.sim.stop(host, stopped) end
function core.sim.next() end                     -- when the next thing is due; nil: nothing will happen by itself
function core.sim.waiting() end                  -- { line, ... }: what may be waited for
function core.sim.hash() end                     -- all that has happened in the network
function core.sim.count() end                    -- { events=, connections=, bytes=, lost=, open= }
