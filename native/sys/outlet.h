/* outlet.h - taps whose bytes leave as frames to one client, those of many connections in one piece. */
#ifndef MIRRORD_OUTLET_H
#define MIRRORD_OUTLET_H

#include "lane.h"

struct outlet;

/* With the lane's lock held: it has something to take. */
void outlet_wake(struct outlet *outlet, struct tap *tap);

#endif
