//! Talking to the API server (REST), remembering (informer caches), acting (reconcilers and work queues).
