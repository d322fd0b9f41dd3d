/* TLS over memory: both ends are ours, and what goes between them is cut, held, altered and ended at will. */
#include "tlspair.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static struct tlsconfig_options tls_server_options(struct tlspair *p, enum pki_kind kind) {
  struct pki_pair pair = pki_pair(p->pki, PKI_SERVER, kind);
  return (struct tlsconfig_options){ .cert = pair.certificate, .key = pair.key };
}

static void tls_start(struct tlspair *p) {
  tlspair_world_init(p);
  struct tlsconfig_options server = tls_server_options(p, PKI_GOOD);
  tlspair_config(p, TLSPAIR_CLIENT, &(struct tlsconfig_options){ .ca = pki_ca(p->pki) });
  tlspair_config(p, TLSPAIR_SERVER, &server);
}

static void test_bytes_come_through_both_ways(void **state) {
  struct tlspair p;
  (void)state;
  tls_start(&p);
  tlspair_connect(&p, "localhost", NULL, NULL);
  tlspair_run(&p);
  tlspair_send(&p, TLSPAIR_CLIENT, slice_text("up"));
  tlspair_send(&p, TLSPAIR_SERVER, slice_text("down"));
  tlspair_assert_got(&p, TLSPAIR_SERVER, slice_text("up"));
  tlspair_assert_got(&p, TLSPAIR_CLIENT, slice_text("down"));
  assert_non_null(strstr(p.notes[TLSPAIR_CLIENT].text, "TLSv1.2, TLS-ECDHE-ECDSA-WITH-"));
  assert_non_null(strstr(p.notes[TLSPAIR_CLIENT].text, "the server is CN=localhost, O=mqrig"));
  tlspair_fini(&p);
}

/* With a PSK a handshake is fast, and has the same length each time. */
static void tls_start_psk(struct tlspair *p) {
  const struct tlsconfig_options psk = { .psk = "00112233",
                                         .psk_identity = "me",
                                         .ciphers = { "TLS_PSK_WITH_AES_128_GCM_SHA256" } };
  tlspair_world_init(p);
  tlspair_config(p, TLSPAIR_CLIENT, &psk);
  tlspair_config(p, TLSPAIR_SERVER, &psk);
}

/* Goes on until so many bytes of that end have gone over, of the other all that there are. */
static void tls_run_to(struct tlspair *p, int end, size_t cut) {
  for (bool moved = true; moved;) {
    moved = tlspair_move(p, !end);
    p->piece = cut - p->passed[end];
    if (p->piece) moved |= tlspair_move(p, end);
    p->piece = 0;
  }
}

/* Each cut of both sides' handshake and first record, by itself. */
static void test_split_at_every_byte(void **state) {
  struct tlspair p;
  (void)state;
  tls_start_psk(&p);
  tlspair_connect(&p, "localhost", NULL, NULL);
  tlspair_send(&p, TLSPAIR_CLIENT, slice_text("up"));
  size_t totals[2] = { p.passed[0], p.passed[1] };
  for (int end = 0; end < 2; end++) {
    assert_true(totals[end] > 100);
    for (size_t cut = 1; cut < totals[end]; cut++) {
      tlspair_connect(&p, "localhost", NULL, NULL);
      tls_run_to(&p, end, cut);
      tlspair_send(&p, TLSPAIR_CLIENT, slice_text("up"));
      tlspair_assert_got(&p, TLSPAIR_SERVER, slice_text("up"));
    }
  }
  tlspair_fini(&p);
}

/* The same with certificates, where a handshake is slow: pieces of equal size, behind a first one of each size. */
static void test_split_at_every_byte_of_certificates(void **state) {
  enum { STRIDE = 61 };
  struct tlspair p;
  (void)state;
  tls_start(&p);
  for (size_t first = 1; first <= STRIDE; first++) {
    tlspair_connect(&p, "localhost", NULL, NULL);
    p.piece = first;
    tlspair_move(&p, TLSPAIR_CLIENT);
    p.piece = STRIDE;
    while (!p.ends[TLSPAIR_SERVER]->ops->give(p.ends[TLSPAIR_SERVER], CHAIN_OUT, 0).size)
      tlspair_move(&p, TLSPAIR_CLIENT);
    p.piece = first;
    tlspair_move(&p, TLSPAIR_SERVER);
    p.piece = STRIDE;
    tlspair_send(&p, TLSPAIR_CLIENT, slice_text("up"));
    tlspair_assert_got(&p, TLSPAIR_SERVER, slice_text("up"));
  }
  tlspair_fini(&p);
}

/* A record of 16 KiB, and everything before it, in pieces of one byte. */
static void test_large_record_in_single_bytes(void **state) {
  struct tlspair p;
  static uint8_t bytes[16384];
  (void)state;
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7);
  tls_start(&p);
  tlspair_connect(&p, "localhost", NULL, NULL);
  p.piece = 1;
  for (int end = 0; end < 2; end++) {
    tlspair_send(&p, end, slice_of(bytes, sizeof bytes));
    tlspair_assert_got(&p, !end, slice_of(bytes, sizeof bytes));
  }
  tlspair_fini(&p);
}

/* Sends "up" from the client, with the byte at that offset of what one end sends altered. */
static void tls_run_altered(struct tlspair *p, int end, size_t at) {
  struct filter *client = p->ends[TLSPAIR_CLIENT], *from = p->ends[end], *to = p->ends[!end];
  for (bool moved = true, sent = false; moved;) {
    moved = false;
    if (!sent) sent = moved = client->ops->take(client, CHAIN_OUT, slice_text("up"), 0) == 2;
    struct slice out = from->ops->give(from, CHAIN_OUT, 0);
    uint8_t one = out.size ? out.data[0] : 0;
    if (p->passed[end] == at) one ^= 0x10;
    if (out.size && to->ops->take(to, CHAIN_IN, slice_of(&one, 1), 0)) {
      from->ops->gave(from, CHAIN_OUT, 1, 0);
      p->passed[end]++;
      moved = true;
    }
    moved |= tlspair_move(p, !end);
    struct slice in = to->ops->give(to, CHAIN_IN, 0);
    buffer_append(&p->got[!end], in);
    if (in.size) to->ops->gave(to, CHAIN_IN, in.size, 0);
  }
}

/* One bit of each byte of the handshake and of a record is altered: nothing altered ever comes out, and hardly a byte
 * of a handshake means nothing. */
static void test_no_altered_byte_goes_unnoticed(void **state) {
  struct tlspair p;
  (void)state;
  tls_start_psk(&p);
  tlspair_connect(&p, "localhost", NULL, NULL);
  tlspair_send(&p, TLSPAIR_CLIENT, slice_text("up"));
  size_t totals[2] = { p.passed[0], p.passed[1] };
  for (int end = 0; end < 2; end++) {
    size_t unnoticed = 0;
    for (size_t at = 0; at < totals[end]; at++) {
      tlspair_connect(&p, "localhost", NULL, NULL);
      tls_run_altered(&p, end, at);
      size_t got = buffer_size(&p.got[TLSPAIR_SERVER]);
      if (got) tlspair_assert_got(&p, TLSPAIR_SERVER, slice_text("up"));
      unnoticed += got > 0;
    }
    assert_in_range(unnoticed, 0, 4); /* the first record's version is free */
  }
  tlspair_fini(&p);
}

static void test_each_faulty_certificate_is_told(void **state) {
  static const struct {
    enum pki_kind kind;
    const char *why, *alert;
  } rows[] = {
    { PKI_EXPIRED, "the server's certificate expired on 2020-12-31 23:59:59 UTC", "certificate_expired" },
    { PKI_NOT_YET_VALID, "the server's certificate is not valid before 2049-01-01 00:00:00 UTC", "" },
    { PKI_WRONG_HOST, "host name localhost does not match the server's certificate, which is for wrong.example",
      "bad_certificate" },
    { PKI_UNTRUSTED, "is not trusted: nothing in tls.ca has signed it", "unknown_ca" },
    { PKI_SELF_SIGNED, "is signed by itself, and is not in tls.ca", "unknown_ca" },
    { PKI_REVOKED, "was revoked: it is on the list of tls.crl", "certificate_revoked" },
    { PKI_WEAK, "is weak: it is signed with ECDSA with SHA1", "" },
  };
  struct tlspair p;
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tlspair_world_init(&p);
    struct tlsconfig_options server = tls_server_options(&p, rows[i].kind);
    tlspair_config(&p, TLSPAIR_CLIENT, &(struct tlsconfig_options){ .ca = pki_ca(p.pki), .crl = pki_crl(p.pki) });
    tlspair_config(&p, TLSPAIR_SERVER, &server);
    tlspair_connect(&p, "localhost", NULL, NULL);
    tlspair_run(&p);
    if (!strstr(tlspair_why(&p, TLSPAIR_CLIENT), rows[i].why))
      fail_msg("\"%s\" in \"%s\"", rows[i].why, tlspair_why(&p, TLSPAIR_CLIENT));
    assert_non_null(strstr(tlspair_why(&p, TLSPAIR_SERVER), "the client refused the TLS handshake: TLS alert"));
    if (!strstr(tlspair_why(&p, TLSPAIR_SERVER), rows[i].alert))
      fail_msg("\"%s\" in \"%s\"", rows[i].alert, tlspair_why(&p, TLSPAIR_SERVER));
    assert_int_equal(tlspair_ends(&p, TLSPAIR_CLIENT, CHAIN_IN), CHAIN_RESET);
    tlspair_fini(&p);
  }
}

static void test_each_faulty_client_certificate_is_told(void **state) {
  struct tlspair p;
  (void)state;
  for (int kind = 0; kind < PKI_KINDS; kind++) {
    tlspair_world_init(&p);
    struct pki_pair pair = pki_pair(p.pki, PKI_CLIENT, (enum pki_kind)kind);
    struct tlsconfig_options server = tls_server_options(&p, PKI_GOOD);
    server.ca = pki_ca(p.pki);
    server.crl = pki_crl(p.pki);
    tlspair_config(&p, TLSPAIR_CLIENT,
                   &(struct tlsconfig_options){ .ca = pki_ca(p.pki), .cert = pair.certificate, .key = pair.key });
    tlspair_config(&p, TLSPAIR_SERVER, &server);
    tlspair_connect(&p, "localhost", NULL, NULL);
    tlspair_run(&p);
    if (kind == PKI_GOOD || kind == PKI_WRONG_HOST) assert_string_equal(tlspair_why(&p, TLSPAIR_SERVER), "");
    else assert_non_null(strstr(tlspair_why(&p, TLSPAIR_SERVER), "the client's certificate"));
    tlspair_fini(&p);
  }
  tls_start(&p);
  tlsconfig_free(p.configs[TLSPAIR_SERVER]);
  struct tlsconfig_options server = tls_server_options(&p, PKI_GOOD);
  server.ca = pki_ca(p.pki);
  tlspair_config(&p, TLSPAIR_SERVER, &server);
  tlspair_connect(&p, "localhost", NULL, NULL);
  tlspair_run(&p);
  assert_string_equal(tlspair_why(&p, TLSPAIR_SERVER), "the client showed no certificate, and tls.ca asks for one");
  tlspair_fini(&p);
}

static void test_hosts(void **state) {
  static const struct {
    const char *host, *why;
  } rows[] = {
    { "localhost", "" },
    { "127.0.0.1", "" },
    { "::1", "" },
    { "::1%lo", "" },
    { "localhost.", "" },
    { "LocalHost", "" },
    { "127.0.0.2",
      "host name 127.0.0.2 does not match the server's certificate, which is for localhost, 127.0.0.1, ::1" },
    { "localhost.example", "host name localhost.example does not match" },
  };
  struct tlspair p;
  (void)state;
  tls_start(&p);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tlspair_connect(&p, rows[i].host, NULL, NULL);
    tlspair_run(&p);
    if (rows[i].why[0]) assert_non_null(strstr(tlspair_why(&p, TLSPAIR_CLIENT), rows[i].why));
    else assert_string_equal(tlspair_why(&p, TLSPAIR_CLIENT), "");
  }
  tlspair_fini(&p);
}

static void test_ends(void **state) {
  struct tlspair p;
  (void)state;
  tls_start(&p);
  tlspair_connect(&p, "localhost", NULL, NULL);
  tlspair_send(&p, TLSPAIR_CLIENT, slice_text("up"));
  struct filter *client = p.ends[TLSPAIR_CLIENT], *server = p.ends[TLSPAIR_SERVER];
  /* Half-closed: the client has ended its side, the server goes on. */
  client->ops->end(client, CHAIN_OUT, CHAIN_FIN, 0);
  assert_int_equal(client->ops->give(client, CHAIN_OUT, 0).data[0], 0x15);
  tlspair_run(&p);
  assert_int_equal(tlspair_ends(&p, TLSPAIR_CLIENT, CHAIN_OUT), CHAIN_FIN);
  assert_int_equal(tlspair_ends(&p, TLSPAIR_SERVER, CHAIN_IN), CHAIN_FIN);
  server->ops->end(server, CHAIN_IN, CHAIN_FIN, 0);
  assert_int_equal(tlspair_ends(&p, TLSPAIR_SERVER, CHAIN_IN), CHAIN_FIN);
  tlspair_send(&p, TLSPAIR_SERVER, slice_text("down"));
  tlspair_assert_got(&p, TLSPAIR_CLIENT, slice_text("down"));
  tlspair_fini(&p);
}

/* The stream ends after any byte: always a failure, never an end in order. */
static void test_truncation_is_a_failure(void **state) {
  struct tlspair p;
  (void)state;
  tls_start_psk(&p);
  tlspair_connect(&p, "localhost", NULL, NULL);
  tlspair_run(&p);
  size_t total = p.passed[TLSPAIR_SERVER];
  for (size_t cut = 0; cut <= total; cut++) {
    tlspair_connect(&p, "localhost", NULL, NULL);
    tls_run_to(&p, TLSPAIR_SERVER, cut);
    struct filter *client = p.ends[TLSPAIR_CLIENT];
    client->ops->end(client, CHAIN_IN, CHAIN_FIN, 0);
    assert_int_equal(tlspair_ends(&p, TLSPAIR_CLIENT, CHAIN_IN), CHAIN_RESET);
    if (cut == 0) assert_non_null(strstr(tlspair_why(&p, TLSPAIR_CLIENT), "it may not speak TLS there at all"));
    if (cut == total) assert_non_null(strstr(tlspair_why(&p, TLSPAIR_CLIENT), "without a close_notify"));
    else assert_non_null(strstr(tlspair_why(&p, TLSPAIR_CLIENT), "closed the connection in the TLS handshake"));
  }
  tlspair_fini(&p);
}

static void test_no_tls_at_all(void **state) {
  struct tlspair p;
  (void)state;
  tls_start(&p);
  tlspair_connect(&p, "localhost", NULL, NULL);
  struct filter *client = p.ends[TLSPAIR_CLIENT], *server = p.ends[TLSPAIR_SERVER];
  server->ops->take(server, CHAIN_IN, slice_of("\x10\x0c\x00\x04MQTT", 8), 0);
  assert_string_equal(tlspair_why(&p, TLSPAIR_SERVER),
                      "the client does not speak TLS: it looks like plain MQTT (CONNECT)");
  struct slice out = server->ops->give(server, CHAIN_OUT, 0);
  assert_memory_equal(out.data, "\x15\x03", 2);
  assert_int_equal(tlspair_ends(&p, TLSPAIR_SERVER, CHAIN_IN), CHAIN_NONE); /* the alert goes first */
  server->ops->gave(server, CHAIN_OUT, out.size, 0);
  assert_int_equal(tlspair_ends(&p, TLSPAIR_SERVER, CHAIN_IN), CHAIN_RESET);
  client->ops->give(client, CHAIN_OUT, 0);
  client->ops->take(client, CHAIN_IN, slice_of("\x20\x02\x00\x00", 4), 0);
  assert_string_equal(tlspair_why(&p, TLSPAIR_CLIENT),
                      "the server does not speak TLS: it looks like plain MQTT (CONNACK)");
  tlspair_fini(&p);
}

static void test_an_alert_that_cannot_go_out_is_given_up(void **state) {
  struct tlspair p;
  (void)state;
  tls_start(&p);
  tlspair_connect(&p, "localhost", NULL, NULL);
  struct filter *server = p.ends[TLSPAIR_SERVER];
  server->ops->take(server, CHAIN_IN, slice_text("GET / HTTP/1.1"), 0);
  assert_int_equal(server->ops->deadline(server), TLS_ALERT_NS);
  server->ops->tick(server, TLS_ALERT_NS);
  assert_int_equal(tlspair_ends(&p, TLSPAIR_SERVER, CHAIN_IN), CHAIN_RESET);
  tlspair_fini(&p);
}

static void test_psk(void **state) {
  static const struct {
    const char *psk, *identity, *client, *server;
  } rows[] = {
    { "00ff10", "me", "", "" },
    { "00ff11", "me", "bad_record_mac: its pre-shared key is not tls.psk",
      "the client's pre-shared key is not tls.psk" },
    { "00ff10", "you", "unknown_psk_identity", "the client's tls.psk_identity is not the server's" },
  };
  struct tlspair p;
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    tlspair_world_init(&p);
    tlspair_config(&p, TLSPAIR_CLIENT,
                   &(struct tlsconfig_options){ .psk = rows[i].psk, .psk_identity = rows[i].identity });
    tlspair_config(&p, TLSPAIR_SERVER, &(struct tlsconfig_options){ .psk = "00FF10", .psk_identity = "me" });
    tlspair_connect(&p, "localhost", NULL, NULL);
    tlspair_run(&p);
    if (!strstr(tlspair_why(&p, TLSPAIR_CLIENT), rows[i].client)) fail_msg("%s", tlspair_why(&p, TLSPAIR_CLIENT));
    if (!strstr(tlspair_why(&p, TLSPAIR_SERVER), rows[i].server)) fail_msg("%s", tlspair_why(&p, TLSPAIR_SERVER));
    tlspair_fini(&p);
  }
}

static void test_resumption(void **state) {
  static const enum tlsconfig_resume ways[] = { TLSCONFIG_RESUME_TICKETS, TLSCONFIG_RESUME_IDS };
  struct tlspair p;
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    tlspair_world_init(&p);
    struct tlsconfig_options server = tls_server_options(&p, PKI_GOOD);
    server.resume = TLSCONFIG_RESUME_ANY;
    tlspair_config(&p, TLSPAIR_CLIENT, &(struct tlsconfig_options){ .ca = pki_ca(p.pki), .resume = ways[i] });
    tlspair_config(&p, TLSPAIR_SERVER, &server);
    for (int time = 0; time < 3; time++) {
      tlspair_connect(&p, "localhost", NULL, NULL);
      tlspair_send(&p, TLSPAIR_CLIENT, slice_text("up"));
      for (int end = 0; end < 2; end++) assert_int_equal(strstr(p.notes[end].text, ", resumed") != NULL, time > 0);
    }
    tlspair_connect(&p, "127.0.0.1", NULL, NULL); /* another server */
    tlspair_run(&p);
    assert_null(strstr(p.notes[TLSPAIR_CLIENT].text, ", resumed"));
    tlspair_fini(&p);
  }
}

static void test_alpn(void **state) {
  struct tlspair p;
  (void)state;
  for (int fits = 0; fits < 2; fits++) {
    tlspair_world_init(&p);
    struct tlsconfig_options server = tls_server_options(&p, PKI_GOOD);
    server.alpn[0] = "mqtt";
    struct tlsconfig_options client = { .ca = pki_ca(p.pki), .alpn = { "http/1.1", fits ? "mqtt" : NULL } };
    tlspair_config(&p, TLSPAIR_CLIENT, &client);
    tlspair_config(&p, TLSPAIR_SERVER, &server);
    tlspair_connect(&p, "localhost", NULL, NULL);
    tlspair_run(&p);
    if (fits) assert_non_null(strstr(p.notes[TLSPAIR_CLIENT].text, "ALPN mqtt"));
    else assert_non_null(strstr(tlspair_why(&p, TLSPAIR_CLIENT), "TLS alert no_application_protocol"));
    tlspair_fini(&p);
  }
}

static void test_versions_that_do_not_meet(void **state) {
  struct tlspair p;
  uint8_t hello[2048];
  (void)state;
  tls_start(&p);
  tlspair_connect(&p, "localhost", NULL, NULL);
  struct filter *client = p.ends[TLSPAIR_CLIENT], *server = p.ends[TLSPAIR_SERVER];
  struct slice out = client->ops->give(client, CHAIN_OUT, 0);
  assert_in_range(out.size, 11, sizeof hello);
  memcpy(hello, out.data, out.size);
  hello[10] = 2; /* of the ClientHello's version: TLS 1.1, which no mbedTLS 3 would say */
  server->ops->take(server, CHAIN_IN, slice_of(hello, out.size), 0);
  client->ops->gave(client, CHAIN_OUT, out.size, 0);
  tlspair_run(&p);
  assert_non_null(strstr(tlspair_why(&p, TLSPAIR_SERVER), "no TLS version that client and server both take"));
  assert_non_null(strstr(tlspair_why(&p, TLSPAIR_CLIENT), "TLS alert protocol_version"));
  tlspair_fini(&p);
}

static void test_ciphers_that_do_not_meet(void **state) {
  struct tlspair p;
  (void)state;
  tlspair_world_init(&p);
  struct tlsconfig_options server = tls_server_options(&p, PKI_GOOD), client = { .ca = pki_ca(p.pki) };
  server.ciphers[0] = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
  client.ciphers[0] = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
  tlspair_config(&p, TLSPAIR_CLIENT, &client);
  tlspair_config(&p, TLSPAIR_SERVER, &server);
  tlspair_connect(&p, "localhost", NULL, NULL);
  tlspair_run(&p);
  assert_non_null(strstr(tlspair_why(&p, TLSPAIR_SERVER), "no cipher that client and server both know"));
  assert_non_null(strstr(tlspair_why(&p, TLSPAIR_CLIENT), "TLS alert handshake_failure"));
  tlspair_fini(&p);
}

/* X25519, where both ends leave the choice to mbedTLS: ServerKeyExchange names it. [RFC 8422, 5.4] */
static void test_a_short_curve_is_taken(void **state) {
  static const uint8_t named[] = { 0x03, 0x00, 0x1d, 0x20 };
  struct tlspair p;
  (void)state;
  tls_start(&p);
  tlspair_connect(&p, "localhost", NULL, NULL);
  tlspair_move(&p, TLSPAIR_CLIENT);
  struct slice flight = p.ends[TLSPAIR_SERVER]->ops->give(p.ends[TLSPAIR_SERVER], CHAIN_OUT, 0);
  assert_non_null(memmem(flight.data, flight.size, named, sizeof named));
  tlspair_fini(&p);
}

static void tls_count(void *arg, enum tls_order order) {
  ((int *)arg)[order]++;
}

static void test_orders(void **state) {
  struct tlspair p;
  int done[TLS_ORDERS] = { 0 };
  (void)state;
  tls_start(&p);
  struct tls_orders stall = { .stall_at = "ServerHello", .stall_ns = 5000, .done = tls_count, .arg = done };
  tlspair_connect(&p, "localhost", NULL, &stall);
  tlspair_run(&p);
  struct filter *server = p.ends[TLSPAIR_SERVER];
  assert_int_equal(p.passed[TLSPAIR_SERVER], 0);
  assert_int_equal(server->ops->deadline(server), 5000);
  p.now_ns = 5000;
  server->ops->tick(server, 5000);
  tlspair_send(&p, TLSPAIR_CLIENT, slice_text("up"));
  tlspair_assert_got(&p, TLSPAIR_SERVER, slice_text("up"));

  struct tls_orders alert = { .alert = "internal_error", .done = tls_count, .arg = done };
  tlspair_connect(&p, "localhost", NULL, &alert);
  tlspair_run(&p);
  assert_string_equal(tlspair_why(&p, TLSPAIR_CLIENT), "the server ended the connection: TLS alert internal_error");
  assert_string_equal(tlspair_why(&p, TLSPAIR_SERVER), "a rule sent the TLS alert internal_error");
  alert.alert_at = "Certificate";
  tlspair_connect(&p, "localhost", NULL, &alert);
  tlspair_run(&p);
  assert_string_equal(tlspair_why(&p, TLSPAIR_CLIENT),
                      "the server refused the TLS handshake: TLS alert internal_error");

  struct tls_orders cut = { .close_without_notify = true, .done = tls_count, .arg = done };
  tlspair_connect(&p, "localhost", NULL, &cut);
  tlspair_send(&p, TLSPAIR_CLIENT, slice_text("up"));
  server = p.ends[TLSPAIR_SERVER];
  server->ops->end(server, CHAIN_OUT, CHAIN_CLOSE, 0);
  assert_int_equal(server->ops->give(server, CHAIN_OUT, 0).size, 0);
  assert_int_equal(done[TLS_STALL], 1);
  assert_int_equal(done[TLS_ALERT], 2);
  assert_int_equal(done[TLS_CLOSE], 1);
  tlspair_fini(&p);
}

/* The first of a hello's random bytes are not today's time in seconds. [RFC 5246, 7.4.1.2] */
static void tls_assert_no_clock(struct slice hello) {
  const uint8_t *random = hello.data + 5 + 4 + 2; /* behind the headers of record and message, and the version */
  int64_t seconds = (int64_t)random[0] << 24 | random[1] << 16 | random[2] << 8 | random[3];
  assert_true(llabs(seconds - (int64_t)time(NULL)) > 86400);
}

/* The same seed gives the same bytes: both hellos carry 32 random bytes and no clock. */
static void test_same_seed_same_bytes(void **state) {
  struct tlspair p;
  uint8_t first[4096];
  size_t size = 0;
  (void)state;
  for (int turn = 0; turn < 2; turn++) {
    tls_start(&p);
    tlspair_connect(&p, "localhost", NULL, NULL);
    tls_assert_no_clock(p.ends[TLSPAIR_CLIENT]->ops->give(p.ends[TLSPAIR_CLIENT], CHAIN_OUT, 0));
    tlspair_move(&p, TLSPAIR_CLIENT);
    struct slice hello = p.ends[TLSPAIR_SERVER]->ops->give(p.ends[TLSPAIR_SERVER], CHAIN_OUT, 0);
    tls_assert_no_clock(hello);
    if (turn) {
      assert_int_equal(hello.size, size);
      assert_memory_equal(hello.data, first, size);
    }
    size = hello.size;
    assert_true(size > 300 && size < sizeof first);
    memcpy(first, hello.data, size);
    tlspair_fini(&p);
  }
}

static void test_key_log(void **state) {
  struct tlspair p;
  char path[] = "/tmp/mqrig-keylog-XXXXXX", line[200];
  int fd = mkstemp(path);
  (void)state;
  tlspair_world_init(&p);
  struct tlsconfig_options server = tls_server_options(&p, PKI_GOOD);
  tlspair_config(&p, TLSPAIR_CLIENT, &(struct tlsconfig_options){ .ca = pki_ca(p.pki), .keylog = path });
  tlspair_config(&p, TLSPAIR_SERVER, &server);
  tlspair_connect(&p, "localhost", NULL, NULL);
  tlspair_run(&p);
  assert_int_equal(read(fd, line, sizeof line), 14 + 64 + 1 + 96 + 1);
  assert_memory_equal(line, "CLIENT_RANDOM ", 14);
  close(fd);
  unlink(path);
  tlspair_fini(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_bytes_come_through_both_ways),
    cmocka_unit_test(test_split_at_every_byte),
    cmocka_unit_test(test_split_at_every_byte_of_certificates),
    cmocka_unit_test(test_large_record_in_single_bytes),
    cmocka_unit_test(test_no_altered_byte_goes_unnoticed),
    cmocka_unit_test(test_each_faulty_certificate_is_told),
    cmocka_unit_test(test_each_faulty_client_certificate_is_told),
    cmocka_unit_test(test_hosts),
    cmocka_unit_test(test_ends),
    cmocka_unit_test(test_truncation_is_a_failure),
    cmocka_unit_test(test_no_tls_at_all),
    cmocka_unit_test(test_an_alert_that_cannot_go_out_is_given_up),
    cmocka_unit_test(test_psk),
    cmocka_unit_test(test_resumption),
    cmocka_unit_test(test_alpn),
    cmocka_unit_test(test_versions_that_do_not_meet),
    cmocka_unit_test(test_ciphers_that_do_not_meet),
    cmocka_unit_test(test_a_short_curve_is_taken),
    cmocka_unit_test(test_orders),
    cmocka_unit_test(test_same_seed_same_bytes),
    cmocka_unit_test(test_key_log),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
