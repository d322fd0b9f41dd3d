-- mqrig decode: the exact output for a few packets, the place of what is malformed, and the ways to give bytes.

package.path = "tests/cli/?.lua;" .. package.path
local program = require "program"
local gives = program.gives

local out = gives("decode 10 10 00 04 4d 51 54 54 04 02 00 3c 00 04 74 65 73 74 62020001", 0)
local expected = [[
offset 0, 18 bytes: CONNECT "test" clean keepalive 60
       0  10                            type               CONNECT, flags 0x0
       1  10                            remaining_length   16
       2  00 04 4d 51 54 54             protocol_name      length 4, "MQTT"
       8  04                            protocol_version   4
       9  02                            connect_flags      username 0, password 0, will_retain 0, will_qos 0, will 0, ]]
  .. [[clean 1, reserved 0
      10  00 3c                         keepalive          60
      12  00 04 74 65 73 74             client_id          length 4, "test"
offset 18, 4 bytes: PUBREL id 1
      18  62                            type               PUBREL, flags 0x2
      19  02                            remaining_length   2
      20  00 01                         packet_id          1
]]
assert(out == expected, out)

-- What is malformed: where, why, which clause; what came before it is shown.
gives("decode c000 3203000561", 1, "PINGREQ.*\noffset 4: malformed PUBLISH, which began at offset 2: topic runs past")
gives("decode ff ff ff ff ff ff", 1, "remaining length has more than four bytes %[MQTT%-2.2.3%]")
gives("decode 32", 1, "offset 1: the bytes end inside this PUBLISH, which began at offset 0")
gives("decode 30 ff ff ff 7f 00", 1, "the bytes end inside this PUBLISH")

-- Clauses.
gives("decode 36 05 00 01 61 00 00", 0, "violates %[3.1.1:3.3.1%-4%]: QoS is 3\n")
gives("decode --strict 36 05 00 01 61 00 00", 1, "violates")
gives("decode --json 36 05 00 01 61 00 00", 0, '^{"offset":0,"size":7,"type":"PUBLISH"')

-- Where the bytes come from.
program.write("hex.txt", "# a ping\n0xc0, 0x00\n\\xd0 \\x00 # and its answer\n")
program.write("raw.bin", "\xc0\x00\xd0\x00")
local both = gives("decode c0:00 d000", 0, "PINGREQ.*PINGRESP")
assert(gives("decode hex.txt", 0) == both and gives("decode raw.bin", 0) == both)
assert(gives("decode", 0, nil, nil, nil, "raw.bin") == both and gives("decode -", 0, nil, nil, nil, "hex.txt") == both)
gives("decode zz", 2, "^$", '"z" is no hexadecimal digit')
gives("decode c00", 2, "^$", "an odd number of digits")
gives("decode nothing.bin", 2, "^$", "no file of that name")
gives("decode -V 6 c000", 2, "^$", "3.1.1 or 5")
gives("decode", 2, "^$", "no bytes to decode")

program.finish()
