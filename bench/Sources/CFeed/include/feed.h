// The plugin has no functions to call: loading it is all. See feed.c.
#ifndef VRFEED_H
#define VRFEED_H
#endif
