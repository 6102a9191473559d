/* hub.h - what others may ask of the hub (passage.c). */
#ifndef MIRRORD_HUB_H
#define MIRRORD_HUB_H

#include "lane.h"

struct hub;

struct lane *hub_lane(struct hub *hub);
struct tellings *hub_tellings(struct hub *hub);

#endif
