/*
 * The physical limit: the least that one thread can do to answer HTTP requests over epoll.
 *
 * It parses nothing. A request is whatever ends in CRLF CRLF; every request gets the same 200 answer,
 * with the header fields a WSGI server sends for the hello application. All requests that one recv
 * brings are answered by one send. A server cannot honestly be faster than this, so the share of this
 * figure that a server reaches is comparable between machines.
 *
 * Usage: limit PORT        (listens on 127.0.0.1; ends with the process's signals)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FDS = 4096, MAX_EVENTS = 128, INPUT_BYTES = 65536, BATCH = 256 };

static const char TERMINATOR[4] = {'\r', '\n', '\r', '\n'};

static char input[INPUT_BYTES];
static char answers[BATCH * 256];          /* BATCH copies of the answer, one after another */
static size_t answer_length;
static unsigned char matched[MAX_FDS];     /* bytes of TERMINATOR seen at the end of the last recv */

/* The answers carry the time; they are written anew when the second has changed. */
static void refresh_answers(void)
{
    static time_t written_at;
    time_t now = time(NULL);
    if (now == written_at)
        return;
    written_at = now;

    struct tm utc;
    char date[32];
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    int length = snprintf(answers, sizeof answers / BATCH,
                          "HTTP/1.1 200 OK\r\n"
                          "Server: fastwsgi\r\n"
                          "Date: %s\r\n"
                          "Content-Type: text/plain\r\n"
                          "Content-Length: 13\r\n"
                          "\r\n"
                          "Hello, World!",
                          date);
    answer_length = (size_t)length;
    for (size_t copy = 1; copy < BATCH; copy++)
        memcpy(answers + copy * answer_length, answers, answer_length);
}

/* Counts the requests that end in these bytes; a terminator may begin in one recv and end in the next. */
static size_t count_requests(const char *bytes, size_t length, unsigned char *state)
{
    const char *end = bytes + length;
    size_t requests = 0;
    unsigned seen = *state;

    while (bytes < end) {
        if (seen == 0) {
            bytes = memchr(bytes, '\r', (size_t)(end - bytes));
            if (bytes == NULL)
                break;
        }
        if (*bytes == TERMINATOR[seen])
            seen++;
        else
            seen = (*bytes == '\r');
        bytes++;
        if (seen == sizeof TERMINATOR) {
            seen = 0;
            requests++;
        }
    }
    *state = (unsigned char)seen;
    return requests;
}

/* A short send would need output buffering, which the limit does not have: it ends the connection. */
static int answer(int fd, size_t requests)
{
    while (requests > 0) {
        size_t batch = requests < BATCH ? requests : BATCH;
        size_t length = batch * answer_length;
        if (send(fd, answers, length, MSG_NOSIGNAL) != (ssize_t)length)
            return -1;
        requests -= batch;
    }
    return 0;
}

static void serve(int fd)
{
    ssize_t received = recv(fd, input, sizeof input, 0);
    if (received <= 0 || answer(fd, count_requests(input, (size_t)received, &matched[fd])) != 0)
        close(fd);
}

static void accept_all(int epoll, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        int on = 1;
        if (fd >= MAX_FDS || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        matched[fd] = 0;
    }
}

static int listen_on(unsigned short port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0
        || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 2048) != 0) {
        perror("limit: cannot listen");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: limit PORT\n");
        return 2;
    }
    int listener = listen_on((unsigned short)atoi(argv[1]));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0) {
        perror("limit: epoll");
        return 1;
    }

    static struct epoll_event ready[MAX_EVENTS];
    for (;;) {
        int count = epoll_wait(epoll, ready, MAX_EVENTS, -1);
        refresh_answers();
        for (int i = 0; i < count; i++) {
            if (ready[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                serve(ready[i].data.fd);
        }
    }
}
