/* figure: what the programs of the benchmark measure, and how they say it: lines of key=value. */
#ifndef MQRIG_FIGURE_H
#define MQRIG_FIGURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static inline int64_t figure_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static inline double figure_usage_s(const struct rusage *r) {
  return (double)(r->ru_utime.tv_sec + r->ru_stime.tv_sec) + (double)(r->ru_utime.tv_usec + r->ru_stime.tv_usec) / 1e6;
}

/* User and system time of this process, all its threads. */
static inline double figure_cpu_s(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return figure_usage_s(&r);
}

static inline long figure_rss_kib(void) {
  long size = 0, resident = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f) return 0;
  if (fscanf(f, "%ld %ld", &size, &resident) != 2) resident = 0;
  fclose(f);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static inline void figure_need(int fine, const char *what) {
  if (fine) return;
  fprintf(stderr, "%s failed\n", what);
  exit(1);
}

/* What a publishing run cost: messages, seconds of the clock and of the processor. */
struct figure_run {
  int64_t begin_ns;
  double begin_cpu_s;
};

static inline struct figure_run figure_begin(void) {
  return (struct figure_run){ .begin_ns = figure_now_ns(), .begin_cpu_s = figure_cpu_s() };
}

static inline void figure_end(struct figure_run run, long count) {
  double cpu_s = figure_cpu_s() - run.begin_cpu_s;
  double wall_s = (double)(figure_now_ns() - run.begin_ns) / 1e9;
  printf("count=%ld wall_s=%.6f cpu_s=%.6f\n", count, wall_s, cpu_s);
  fflush(stdout);
}

#endif
