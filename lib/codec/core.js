'use strict'

/**
 * The text of `proto/codecs.proto`, the messages that every emitter knows. It is code because a bundled program has no
 * file next to it; the file is for other protobuf tools, and a test compares the two.
 */
module.exports = `// The messages every emitter knows, as users see them. From hyperemitter 1.3.0, codecs.proto.
// On disk and on the wire an event's container has further fields, which 1.x skips: see src/event.rs.
syntax = "proto2";

message Event {
  required string name = 1;
  required bytes payload = 2;
}

message EventPeer {
  required string id = 1;
  repeated PeerAddress addresses = 2;

  message PeerAddress {
    required string ip = 1;
    required int32 port = 2;
  }
}
`
