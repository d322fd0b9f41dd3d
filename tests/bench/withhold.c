/* withhold: a broker that never acknowledges, so that messages pile up in flight at the client.
 *
 *   withhold COUNT...
 *
 * Prints port=N. When it has got COUNT messages it says so to their client, with a message of topic "seen". The count
 * begins anew with each connection. Runs until it is killed, or its standard input ends.
 */
#include <poll.h>
#include <string.h>

#include "figure.h"
#include "stub.h"

static long *withhold_marks;
static int withhold_count;

static void withhold_publish(struct stub *s, struct stub_connection *c) {
  for (int i = 0; i < withhold_count; i++) {
    if ((uint64_t)withhold_marks[i] != s->published) continue;
    char text[24];
    snprintf(text, sizeof text, "%ld", withhold_marks[i]);
    stub_tell(c, "seen", text);
  }
}

int main(int argc, char **argv) {
  static struct stub s = { .on_publish = withhold_publish };
  withhold_marks = calloc((size_t)argc, sizeof *withhold_marks);
  figure_need(withhold_marks != NULL, "memory");
  for (int i = 1; i < argc; i++) withhold_marks[withhold_count++] = strtol(argv[i], NULL, 10);
  stub_open(&s);
  printf("port=%u\n", s.port);
  fflush(stdout);
  for (;;) {
    stub_turn(&s, 1000);
    if (!s.count) s.published = 0;
  }
}
