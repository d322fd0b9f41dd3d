#include "net/tlsname.h"

#include <stdio.h>
#include <string.h>

#include "base/near.h"

static const char *const tlsname_alerts[] = {
  [0] = "close_notify",
  [10] = "unexpected_message",
  [20] = "bad_record_mac",
  [21] = "decryption_failed",
  [22] = "record_overflow",
  [30] = "decompression_failure",
  [40] = "handshake_failure",
  [41] = "no_certificate",
  [42] = "bad_certificate",
  [43] = "unsupported_certificate",
  [44] = "certificate_revoked",
  [45] = "certificate_expired",
  [46] = "certificate_unknown",
  [47] = "illegal_parameter",
  [48] = "unknown_ca",
  [49] = "access_denied",
  [50] = "decode_error",
  [51] = "decrypt_error",
  [70] = "protocol_version",
  [71] = "insufficient_security",
  [80] = "internal_error",
  [86] = "inappropriate_fallback",
  [90] = "user_canceled",
  [100] = "no_renegotiation",
  [109] = "missing_extension",
  [110] = "unsupported_extension",
  [112] = "unrecognized_name",
  [113] = "bad_certificate_status_response",
  [115] = "unknown_psk_identity",
  [116] = "certificate_required",
  [120] = "no_application_protocol",
};
#define TLSNAME_ALERTS (int)(sizeof tlsname_alerts / sizeof *tlsname_alerts)

const char *tlsname_alert(int number) {
  return number >= 0 && number < TLSNAME_ALERTS ? tlsname_alerts[number] : NULL;
}

int tlsname_alert_of(const char *name) {
  for (int i = 0; i < TLSNAME_ALERTS; i++) {
    if (tlsname_alerts[i] && strcmp(tlsname_alerts[i], name) == 0) return i;
  }
  return -1;
}

bool tlsname_check_alert(const char *name, struct err *err) {
  const char *names[TLSNAME_ALERTS + 1];
  size_t count = 0;
  for (int i = 0; i < TLSNAME_ALERTS; i++) {
    if (!tlsname_alerts[i]) continue;
    if (strcmp(tlsname_alerts[i], name) == 0) return true;
    names[count++] = tlsname_alerts[i];
  }
  names[count] = NULL;
  const char *near = near_name(name, names);
  return err_set(err, "there is no TLS alert \"%.64s\"%s%s%s", name, near ? ": did you mean \"" : "", near ? near : "",
                 near ? "\"?" : "");
}

/* In the order of a handshake. */
static const char *const tlsname_messages[] = {
  "ClientHello",
  "ServerHello",
  "Certificate",
  "ServerKeyExchange",
  "CertificateRequest",
  "ServerHelloDone",
  "ClientCertificate",
  "ClientKeyExchange",
  "CertificateVerify",
  "ChangeCipherSpec",
  "ClientFinished",
  "NewSessionTicket",
  "ServerChangeCipherSpec",
  "ServerFinished",
};
#define TLSNAME_MESSAGES (sizeof tlsname_messages / sizeof *tlsname_messages)

bool tlsname_check_message(const char *name, struct err *err) {
  char all[TLSNAME_MESSAGES * 26] = "";
  for (size_t i = 0, used = 0; i < TLSNAME_MESSAGES; i++) {
    if (strcmp(tlsname_messages[i], name) == 0) return true;
    used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", tlsname_messages[i]);
  }
  return err_set(err, "there is no handshake message \"%.64s\": they are %s", name, all);
}

/* Where the option that stands next begins, at a word's start, or NULL. */
static const char *tlsname_option(const char *text) {
  for (const char *at = text; (at = strstr(at, "tls.")); at++) {
    bool word = at == text || at[-1] == ' ';
    if (word && at[4] >= 'a' && at[4] <= 'z') return at;
  }
  return NULL;
}

void tlsname_call(struct err *sentence, const char *prefix) {
  struct err said = *sentence;
  const char *from = said.text, *at;
  size_t used = 0;
  if (!prefix) return;
  while ((at = tlsname_option(from))) {
    int name = (int)strspn(at + 4, "abcdefghijklmnopqrstuvwxyz_");
    int put = snprintf(sentence->text + used, sizeof sentence->text - used, "%.*s%s%.*s", (int)(at - from), from,
                       prefix, name, at + 4);
    char *called = sentence->text + used + (at - from);
    used += (size_t)put;
    if (used >= sizeof sentence->text) return;
    for (; prefix[0] == '-' && *called; called++)
      if (*called == '_') *called = '-';
    from = at + 4 + name;
  }
  snprintf(sentence->text + used, sizeof sentence->text - used, "%s", from);
}

bool tlsname_is_tls(struct slice first) {
  if (!first.size || (first.data[0] != 0x15 && first.data[0] != 0x16)) return false;
  return first.size == 1 || first.data[1] == 3;
}
