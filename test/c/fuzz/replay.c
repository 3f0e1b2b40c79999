/* SPDX-License-Identifier: Apache-2.0 */
/* Takes files as inputs of a target, without libFuzzer.
 *
 *     fuzz_NAME FILE-OR-FOLDER...    "N passed, N failed"
 *     fuzz_NAME --seeds FOLDER       writes the seeds of the target there
 *
 * The inputs are run in a child, one after the other.  When one ends it, that
 * is a failure, and another child goes on with the next. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

/* What takes longer hangs. */
#define SECONDS_MAX 20u

static const char *folder;

struct files {
  char **paths;
  size_t count;
};

static void *
room(void *old, size_t size)
{
  void *const block = realloc(old, size);
  if (block == NULL) {
    abort();
  }
  return block;
}

static void
add(struct files *files, const char *path)
{
  struct stat status;
  DIR *const directory = opendir(path);
  if (directory == NULL) {
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) {
      fprintf(stderr, "%s: no such file\n", path);
      exit(2);
    }
    files->paths =
      room(files->paths, (files->count + 1) * sizeof *files->paths);
    files->paths[files->count++] = strdup(path);
    return;
  }
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (entry->d_name[0] != '.') {
      const size_t size = strlen(path) + strlen(entry->d_name) + 2;
      char *const inner = room(NULL, size);
      (void)snprintf(inner, size, "%s/%s", path, entry->d_name);
      add(files, inner);
      free(inner);
    }
  }
  (void)closedir(directory);
}

static void
run(const char *path)
{
  FILE *const file = fopen(path, "rb");
  if (file == NULL) {
    perror(path);
    abort();
  }
  size_t size = 0;
  uint8_t *bytes = room(NULL, 1);
  for (size_t got = 1; got > 0;) {
    bytes = room(bytes, size + 65536);
    got = fread(bytes + size, 1, 65536, file);
    size += got;
  }
  (void)fclose(file);
  const struct hex input = hex_copy(bytes, size);
  free(bytes);
  fuzz_one(input.bytes, input.size);
  free(input.bytes);
}

/* All from *at on, which is shared with the parent. */
static void
child(const struct files *files, volatile size_t *at)
{
  for (; *at < files->count; (*at)++) {
    (void)alarm(SECONDS_MAX);
    run(files->paths[*at]);
  }
  exit(0); /* With a look for leaks. */
}

static int
replay(const struct files *files)
{
  volatile size_t *const at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) {
    perror("mmap");
    return 2;
  }
  size_t failed = 0;
  for (bool over = false; !over;) {
    (void)fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
      child(files, at);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    const bool good =
      WIFEXITED(status) && WEXITSTATUS(status) == 0 && *at >= files->count;
    if (!good) {
      failed++;
      fprintf(stderr, "failed: %s\n",
              *at < files->count ? files->paths[*at] : "something leaks");
      (*at)++;
    }
    over = *at >= files->count;
  }
  printf("%zu passed, %zu failed\n",
         failed > files->count ? 0 : files->count - failed, failed);
  return failed == 0 ? 0 : 1;
}

static void
seed(const char *name, const void *bytes, size_t size)
{
  char path[4096];
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *const file = fopen(path, "wb");
  if (file == NULL || fwrite(bytes, 1, size, file) != size ||
      fclose(file) != 0) {
    perror(path);
    exit(2);
  }
}

int
main(int argc, char **argv)
{
  if (argc == 3 && strcmp(argv[1], "--seeds") == 0) {
    folder = argv[2];
    fuzz_seeds(seed);
    return 0;
  }
  struct files files = { .count = 0 };
  for (int i = 1; i < argc; i++) {
    add(&files, argv[i]);
  }
  const int status = replay(&files);
  for (size_t i = 0; i < files.count; i++) {
    free(files.paths[i]);
  }
  free(files.paths);
  return status;
}
