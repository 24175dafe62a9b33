/* A fake of CUDA's runtime library on host memory, for tests.

   Work on a stream waits until somebody synchronises, so that a missing wait shows. Copies are
   held against live allocations, so that a freed, short or foreign pointer is an error. What the
   environment can ask for is told in fakes/__init__.py. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK = 0, INVALID = 1, NO_MEMORY = 2, NO_DEVICE = 100, BAD_DEVICE = 101, BAD_HANDLE = 400,
       NOT_READY = 600, LAUNCH_FAILED = 719 };
enum { DEVICE, HOST };
enum { TO_DEVICE = 1, TO_HOST = 2, ON_DEVICE = 3 };

typedef struct Block { char *begin; size_t size; int kind; struct Block *next; } Block;
typedef struct Event { double ms; int recorded; struct Stream *waits; struct Event *next; } Event;
typedef struct Work {
    char *target;
    const char *source;
    size_t size;
    Event *event;
    int (*run)(void *);
    void *data;
    struct Work *next;
} Work;
typedef struct Stream { Work *first; struct Stream *next; } Stream;

static Block *blocks;
static Event *events;
static Stream usual, *streams;
static int last_error, pageable;
static pthread_mutex_t lock;

__attribute__((constructor)) static void begin(void) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &kind);
}

static void unlock(int *held) {
    if (*held) pthread_mutex_unlock(&lock);
}

static int asked(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text && *text ? atoi(text) : otherwise;
}

/* The error that FAKE_CUDART_FAIL asks for at this call of `name`, or 0. */
static int injected(const char *name) {
    static char known[512];
    static struct { char name[40]; int calls; } counted[64];
    const char *text = getenv("FAKE_CUDART_FAIL");
    if (!text) text = "";
    if (strncmp(known, text, sizeof known - 1)) {
        strncpy(known, text, sizeof known - 1);
        memset(counted, 0, sizeof counted);
    }
    int place = 0, calls = 0;
    while (place < 63 && counted[place].name[0] && strcmp(counted[place].name, name)) place++;
    strncpy(counted[place].name, name, sizeof counted[place].name - 1);
    calls = ++counted[place].calls;
    for (const char *part = text; part && *part; part = strchr(part, ',') ? strchr(part, ',') + 1 : 0) {
        char wanted[40];
        int number = 0, error = NO_MEMORY;
        if (sscanf(part, "%39[^:]:%d:%d", wanted, &number, &error) >= 2 && !strcmp(wanted, name) &&
            number == calls)
            return error;
    }
    return OK;
}

#define ENTER                                              \
    int held __attribute__((cleanup(unlock))) = 1;         \
    pthread_mutex_lock(&lock);                             \
    int failed = injected(__func__);                       \
    if (failed) return last_error = failed
#define FAIL(error) return last_error = (error)

static Block **holder(const void *place, size_t size, int kind) {
    const char *begin = place;
    for (Block **found = &blocks; *found; found = &(*found)->next)
        if ((*found)->kind == kind && begin >= (*found)->begin &&
            begin + size <= (*found)->begin + (*found)->size)
            return found;
    return 0;
}

static Stream *stream_of(Stream *handle) {
    if (!handle) return &usual;
    for (Stream *known = streams; known; known = known->next)
        if (known == handle) return known;
    return 0;
}

static int known_event(Event *handle) {
    for (Event *known = events; known; known = known->next)
        if (known == handle) return 1;
    return 0;
}

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/* Does all that waits; the first error of what ran. */
static int finish(Stream *stream) {
    int error = OK;
    while (stream->first) {
        Work *work = stream->first;
        stream->first = work->next;
        int ended = work->run ? work->run(work->data) : OK;
        if (!error) error = ended;
        if (work->size) memcpy(work->target, work->source, work->size);
        if (work->event) {
            work->event->ms = now_ms();
            work->event->recorded = 1;
            work->event->waits = 0;
        }
        free(work);
    }
    return error ? last_error = error : OK;
}

static int finish_all(void) {
    int error = finish(&usual);
    for (Stream *stream = streams; stream; stream = stream->next) {
        int ended = finish(stream);
        if (!error) error = ended;
    }
    return error;
}

static void enqueue(Stream *stream, Work work) {
    Work **end = &stream->first;
    while (*end) end = &(*end)->next;
    *end = malloc(sizeof work);
    **end = work;
}

static size_t in_use(int kind) {
    size_t sum = 0;
    for (Block *block = blocks; block; block = block->next)
        if (block->kind == kind) sum += block->size;
    return sum;
}

static size_t memory(void) { return (size_t)asked("FAKE_MEMORY_MB", 7620) << 20; }

static int take(void **pointer, size_t size, int kind) {
    void *begin = 0;
    if (!size) return *pointer = 0, OK;
    if (in_use(DEVICE) + in_use(HOST) + size > memory()) FAIL(NO_MEMORY);
    if (posix_memalign(&begin, 256, size)) FAIL(NO_MEMORY);
    memset(begin, 0xA5, size);
    Block *block = malloc(sizeof *block);
    *block = (Block){begin, size, kind, blocks};
    blocks = block;
    *pointer = begin;
    return OK;
}

static int give_back(void *pointer, int kind) {
    if (!pointer) return OK;
    finish_all();
    Block **found = holder(pointer, 0, kind);
    if (!found || (*found)->begin != pointer) FAIL(INVALID);
    Block *gone = *found;
    *found = gone->next;
    memset(gone->begin, 0xDD, gone->size);
    free(gone->begin);
    free(gone);
    return OK;
}

int cudaMalloc(void **pointer, size_t size) { ENTER; return take(pointer, size, DEVICE); }
int cudaFree(void *pointer) { ENTER; return give_back(pointer, DEVICE); }
int cudaMallocHost(void **pointer, size_t size) { ENTER; return take(pointer, size, HOST); }
int cudaFreeHost(void *pointer) { ENTER; return give_back(pointer, HOST); }
int cudaHostAlloc(void **pointer, size_t size, unsigned flags) {
    ENTER;
    (void)flags;
    return take(pointer, size, HOST);
}

static int copy(void *target, const void *source, size_t size, int kind, Stream *stream, int wait) {
    int from_device = kind == TO_HOST || kind == ON_DEVICE, to_device = kind == TO_DEVICE || kind == ON_DEVICE;
    if (!stream || !(from_device || to_device)) FAIL(stream ? INVALID : BAD_HANDLE);
    if (from_device && !holder(source, size, DEVICE)) FAIL(INVALID);
    if (to_device && !holder(target, size, DEVICE)) FAIL(INVALID);
    const void *host = from_device ? (to_device ? 0 : target) : source;
    int pinned = !host || holder(host, size, HOST);
    if (!wait && !pinned) pageable++;
    enqueue(stream, (Work){.target = target, .source = source, .size = size});
    if (wait || !pinned) finish(stream);
    return OK;
}

int cudaMemcpy(void *target, const void *source, size_t size, int kind) {
    ENTER;
    finish_all();
    return copy(target, source, size, kind, &usual, 1);
}

int cudaMemcpyAsync(void *target, const void *source, size_t size, int kind, Stream *stream) {
    ENTER;
    return copy(target, source, size, kind, stream_of(stream), 0);
}

int cudaStreamCreateWithFlags(Stream **stream, unsigned flags) {
    ENTER;
    (void)flags;
    *stream = calloc(1, sizeof **stream);
    (*stream)->next = streams;
    streams = *stream;
    return OK;
}

int cudaStreamCreate(Stream **stream) { ENTER; return cudaStreamCreateWithFlags(stream, 0); }

int cudaStreamDestroy(Stream *stream) {
    ENTER;
    if (!stream || !stream_of(stream)) FAIL(BAD_HANDLE);
    finish(stream);
    Stream **link = &streams;
    while (*link != stream) link = &(*link)->next;
    *link = stream->next;
    free(stream);
    return OK;
}

int cudaStreamSynchronize(Stream *stream) {
    ENTER;
    if (!stream_of(stream)) FAIL(BAD_HANDLE);
    return finish(stream_of(stream));
}

int cudaStreamQuery(Stream *stream) {
    ENTER;
    if (!stream_of(stream)) FAIL(BAD_HANDLE);
    return stream_of(stream)->first ? NOT_READY : OK;
}

int cudaEventCreateWithFlags(Event **event, unsigned flags) {
    ENTER;
    (void)flags;
    *event = calloc(1, sizeof **event);
    (*event)->next = events;
    events = *event;
    return OK;
}

int cudaEventCreate(Event **event) { ENTER; return cudaEventCreateWithFlags(event, 0); }

int cudaEventDestroy(Event *event) {
    ENTER;
    if (!known_event(event)) FAIL(BAD_HANDLE);
    if (event->waits) finish(event->waits);
    Event **link = &events;
    while (*link != event) link = &(*link)->next;
    *link = event->next;
    free(event);
    return OK;
}

int cudaEventRecord(Event *event, Stream *stream) {
    ENTER;
    if (!known_event(event) || !stream_of(stream)) FAIL(BAD_HANDLE);
    event->recorded = 0;
    event->waits = stream_of(stream);
    enqueue(event->waits, (Work){.event = event});
    return OK;
}

int cudaEventSynchronize(Event *event) {
    ENTER;
    if (!known_event(event)) FAIL(BAD_HANDLE);
    return event->waits ? finish(event->waits) : OK;
}

int cudaEventQuery(Event *event) {
    ENTER;
    if (!known_event(event)) FAIL(BAD_HANDLE);
    return event->waits ? NOT_READY : OK;
}

int cudaEventElapsedTime(float *ms, Event *from, Event *to) {
    ENTER;
    if (!known_event(from) || !known_event(to)) FAIL(BAD_HANDLE);
    if (from->waits || to->waits) return NOT_READY;
    if (!from->recorded || !to->recorded) FAIL(BAD_HANDLE);
    *ms = (float)(to->ms - from->ms);
    return OK;
}

int cudaMemGetInfo(size_t *available, size_t *total) {
    ENTER;
    *total = memory();
    *available = *total - in_use(DEVICE) - in_use(HOST);
    return OK;
}

static int devices(void) { return asked("FAKE_DEVICES", 1); }

int cudaGetDeviceCount(int *count) {
    ENTER;
    *count = devices();
    if (!*count) FAIL(NO_DEVICE);
    return OK;
}

int cudaSetDevice(int device) {
    ENTER;
    if (device < 0 || device >= devices()) FAIL(BAD_DEVICE);
    return OK;
}

int cudaGetDevice(int *device) { ENTER; *device = 0; return OK; }

/* The first field of cudaDeviceProp, alike in all versions: char name[256]. */
int cudaGetDeviceProperties(void *properties, int device) {
    ENTER;
    if (device < 0 || device >= devices()) FAIL(BAD_DEVICE);
    strcpy(properties, "Fake Orin");
    return OK;
}

int cudaGetDeviceProperties_v2(void *properties, int device) {
    return cudaGetDeviceProperties(properties, device);
}

/* 75 and 76: compute capability; 16: multiprocessors; 18: integrated; 13: clock in kHz. */
int cudaDeviceGetAttribute(int *value, int attribute, int device) {
    ENTER;
    if (device < 0 || device >= devices()) FAIL(BAD_DEVICE);
    int sm = asked("FAKE_SM", 87);
    switch (attribute) {
        case 75: *value = sm / 10; break;
        case 76: *value = sm % 10; break;
        case 16: *value = 8; break;
        case 18: *value = 1; break;
        case 13: *value = 625000; break;
        default: FAIL(INVALID);
    }
    return OK;
}

int cudaRuntimeGetVersion(int *version) { ENTER; *version = asked("FAKE_CUDA", 12060); return OK; }
int cudaDriverGetVersion(int *version) { ENTER; *version = asked("FAKE_CUDA", 12060); return OK; }
int cudaSetDeviceFlags(unsigned flags) { ENTER; (void)flags; return OK; }
int cudaDeviceSynchronize(void) { ENTER; return finish_all(); }

int cudaGetLastError(void) {
    int error = last_error;
    last_error = OK;
    return error;
}

int cudaPeekAtLastError(void) { return last_error; }

static const struct { int error; const char *name, *text; } told[] = {
    {OK, "cudaSuccess", "no error"},
    {INVALID, "cudaErrorInvalidValue", "invalid argument"},
    {NO_MEMORY, "cudaErrorMemoryAllocation", "out of memory"},
    {NO_DEVICE, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {BAD_DEVICE, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {BAD_HANDLE, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {NOT_READY, "cudaErrorNotReady", "device not ready"},
    {LAUNCH_FAILED, "cudaErrorLaunchFailure", "unspecified launch failure"},
};

const char *cudaGetErrorName(int error) {
    for (size_t place = 0; place < sizeof told / sizeof *told; place++)
        if (told[place].error == error) return told[place].name;
    return "unrecognized error code";
}

const char *cudaGetErrorString(int error) {
    for (size_t place = 0; place < sizeof told / sizeof *told; place++)
        if (told[place].error == error) return told[place].text;
    return "unrecognized error code";
}

/* What follows is the fake's own. */

int fake_holds(const void *place, size_t size) {
    pthread_mutex_lock(&lock);
    int found = holder(place, size, DEVICE) != 0;
    pthread_mutex_unlock(&lock);
    return found;
}

/* `run` is called when the stream gets there, and returns an error or 0. The answer: 0, or BAD_HANDLE for no stream of ours. */
int fake_enqueue(Stream *stream, int (*run)(void *), void *data) {
    pthread_mutex_lock(&lock);
    Stream *known = stream_of(stream);
    if (known) enqueue(known, (Work){.run = run, .data = data});
    pthread_mutex_unlock(&lock);
    return known ? OK : BAD_HANDLE;
}

/* Counts of live device and host blocks, streams, events; and copies of pageable memory. */
void fake_left(int counts[5]) {
    memset(counts, 0, 5 * sizeof *counts);
    for (Block *block = blocks; block; block = block->next) counts[block->kind]++;
    for (Stream *stream = streams; stream; stream = stream->next) counts[2]++;
    for (Event *event = events; event; event = event->next) counts[3]++;
    counts[4] = pageable;
}

__attribute__((destructor)) static void end(void) {
    const char *file = getenv("FAKE_CUDART_REPORT");
    FILE *stream = file ? fopen(file, "w") : 0;
    if (!stream) return;
    int counts[5];
    fake_left(counts);
    fprintf(stream, "%d %d %d %d %d\n", counts[0], counts[1], counts[2], counts[3], counts[4]);
    fclose(stream);
}
