/* environment.h - see environment.c. */
#ifndef MIRRORD_ENVIRONMENT_H
#define MIRRORD_ENVIRONMENT_H

#include "shim.h"

/* Sets and unsets what the file in the session directory says, once per run of exec that kept its environment. */
void environment_load(const char *session);

#endif
