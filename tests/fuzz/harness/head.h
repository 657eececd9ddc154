/* What is true of every head that the parser calls complete, whoever sent it. */

#include "parser.h"

static size_t end_of(span_t span)
{
    return (size_t)span.start + span.length;
}

static int is_inside(span_t inner, size_t start, size_t stop)
{
    return inner.length == 0 || (inner.start >= start && end_of(inner) <= stop);
}

static void check_target(const char *data, const head_t *head)
{
    size_t start = head->target.start, stop = end_of(head->target);
    REQUIRE(head->target.length > 0);
    REQUIRE(is_inside(head->authority, start, stop));
    REQUIRE(is_inside(head->path, start, stop));
    REQUIRE(is_inside(head->query, start, stop));
    REQUIRE(head->query.length == 0 || (data[head->query.start - 1] == '?' && end_of(head->query) == stop));
    for (size_t i = start; i < stop; i++)
        REQUIRE(data[i] > 0x20 && data[i] < 0x7f && data[i] != '#');
}

/* Returns where its line ends. */
static size_t check_field(const char *data, const field_t *field, size_t start, size_t stop, const limits_t *limits)
{
    size_t value = field->value.start, end = end_of(field->value), colon = end_of(field->name);
    REQUIRE(field->name.start == start && field->name.length > 0);
    REQUIRE(value > colon && end >= value && end + 2 <= stop);
    while (limits->leniency & SAYS(NAME_SPACES) && (data[colon] == ' ' || data[colon] == '\t'))
        colon++;
    REQUIRE(data[colon] == ':');
    for (size_t i = value; i < end; i++) {
        unsigned char c = (unsigned char)data[i];
        if (!(field->kind & SAYS(FOLDED)))
            REQUIRE((c >= 0x20 || c == '\t') && c != 0x7f);
    }
    while (data[end] == ' ' || data[end] == '\t')
        end++;
    REQUIRE(data[end] == '\r' && data[end + 1] == '\n');
    REQUIRE(end + 2 - start <= limits->field);
    return end + 2;
}

static void check_head(const char *data, size_t size, const head_t *head, const limits_t *limits)
{
    size_t stop = head->length, line = end_of(head->target) + sizeof " HTTP/1.1\r\n" - 1;
    REQUIRE(stop <= size && stop <= limits->head && stop >= line + 2);
    REQUIRE(head->method.start == 0 || (head->method.start == 2 && data[0] == '\r' && data[1] == '\n'));
    REQUIRE(head->method.length > 0 && end_of(head->method) + 1 == head->target.start);
    REQUIRE(line - 2 - head->method.start <= limits->request_line);
    check_target(data, head);
    REQUIRE(head->field_count <= limits->fields);
    for (uint32_t i = 0; i < head->field_count; i++)
        line = check_field(data, &head->fields[i], line, stop, limits);
    REQUIRE(line + 2 == stop && data[line] == '\r' && data[line + 1] == '\n');
    REQUIRE(head->content_length >= -1);
    REQUIRE(!head->chunked || head->content_length == -1);
    REQUIRE(!head->chunked || head->minor_version == 1);
    REQUIRE(head->minor_version == 0 || head->flags & SAYS(SEEN_HOST));
    REQUIRE(is_inside(head->host, end_of(head->target), stop));
}
