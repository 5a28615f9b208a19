/* os: the five things the runtime needs from the operating system, POSIX or Windows. */
#ifndef ND_OS_H
#define ND_OS_H
#include <stddef.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <malloc.h>
typedef SRWLOCK nd_mutex;
typedef CONDITION_VARIABLE nd_condition;
#define ND_MUTEX_INIT SRWLOCK_INIT
#define ND_CONDITION_INIT CONDITION_VARIABLE_INIT
static inline void nd_lock(nd_mutex *m) { AcquireSRWLockExclusive(m); }
static inline void nd_unlock(nd_mutex *m) { ReleaseSRWLockExclusive(m); }
static inline void nd_wait(nd_condition *c, nd_mutex *m) { SleepConditionVariableSRW(c, m, INFINITE, 0); }
static inline void nd_wake_all(nd_condition *c) { WakeAllConditionVariable(c); }
static inline int nd_start_thread(LPTHREAD_START_ROUTINE f, void *arg)
{
    HANDLE h = CreateThread(NULL, 0, f, arg, 0, NULL);
    return h ? (CloseHandle(h), 0) : -1;
}
static inline void *nd_aligned_alloc(size_t align, size_t bytes) { return _aligned_malloc(bytes, align); }
static inline void nd_aligned_free(void *p) { _aligned_free(p); }
static inline void nd_huge_pages(void *p, size_t bytes) { (void)p, (void)bytes; }
#define ND_THREAD_FUNCTION(name, arg) static DWORD WINAPI name(LPVOID arg)
#else
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
typedef pthread_mutex_t nd_mutex;
typedef pthread_cond_t nd_condition;
#define ND_MUTEX_INIT PTHREAD_MUTEX_INITIALIZER
#define ND_CONDITION_INIT PTHREAD_COND_INITIALIZER
static inline void nd_lock(nd_mutex *m) { pthread_mutex_lock(m); }
static inline void nd_unlock(nd_mutex *m) { pthread_mutex_unlock(m); }
static inline void nd_wait(nd_condition *c, nd_mutex *m) { pthread_cond_wait(c, m); }
static inline void nd_wake_all(nd_condition *c) { pthread_cond_broadcast(c); }
/* A detached thread that takes no signals: Python's handlers belong to Python's threads. */
static inline int nd_start_thread(void *(*f)(void *), void *arg)
{
    pthread_t t;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&t, NULL, f, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return failed ? -1 : pthread_detach(t);
}
static inline void *nd_aligned_alloc(size_t align, size_t bytes)
{
    void *p;
    return posix_memalign(&p, align, bytes) ? NULL : p;
}
static inline void nd_aligned_free(void *p) { free(p); }
static inline void nd_huge_pages(void *p, size_t bytes)
{
#if defined(MADV_HUGEPAGE)
    madvise(p, bytes, MADV_HUGEPAGE); /* advice only: a refusal costs speed, not correctness */
#else
    (void)p, (void)bytes;
#endif
}
#define ND_THREAD_FUNCTION(name, arg) static void *name(void *arg)
#endif

/* Tell the core that this is a spin loop. */
static inline void nd_pause(void)
{
#if defined(__x86_64__) || defined(_M_X64)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}
#endif
