/* http_filter.h - whether anybody wants a request: the filters of a port's subscriptions, run on a head. */
#ifndef MIRRORD_HTTP_FILTER_H
#define MIRRORD_HTTP_FILTER_H

#include "http1.h"

struct http_filters;

enum http_verdict {
	FILTER_NO,
	FILTER_MAYBE, /* what follows the head decides */
	FILTER_YES,
};

/* Makes them of what src/sys/passage.ts writes. Begins with one owner. NULL: it is not sound, or memory is short. */
struct http_filters *http_filters_make(const uint8_t *program, size_t length);
void http_filters_hold(struct http_filters *filters);
void http_filters_release(struct http_filters *filters);
/* The subscriptions that they were made of are not those of the port any more. */
void http_filters_retire(struct http_filters *filters);
bool http_filters_are_retired(const struct http_filters *filters);

/* The best verdict of any of them. */
enum http_verdict http_filters_run(const struct http_filters *filters, const struct http1_head *head);

#endif
