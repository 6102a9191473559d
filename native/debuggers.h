/* debuggers.h - ports on loopback that belong to the developer's tools: to connect to them, or to listen there for them,
 * is this machine's affair.
 */
#ifndef MIRRORD_DEBUGGERS_H
#define MIRRORD_DEBUGGERS_H

#include "shim.h"

/* Finds them in the command line and the environment that the program was started with. */
void debuggers_find(int argc, char **argv);

/* Is this port on loopback a debugger's? */
bool debuggers_have(uint16_t port);

#endif
