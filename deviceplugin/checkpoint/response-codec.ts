import type { ServiceDefinition } from '@grpc/grpc-js';
import type { AllocateResponse, ContainerAllocateResponse } from '../../proto/generated/deviceplugin-v1beta1.js';

/** Turns one container's answer into protobuf bytes and back, as the kubelet's checkpoint holds it. */
export interface ResponseCodec {
  encode(response: ContainerAllocateResponse): Buffer;
  /** Throws when the bytes are no such message. */
  decode(bytes: Buffer): ContainerAllocateResponse;
}

/** Field 1 of `AllocateResponse`, length-delimited. */
const fieldTag = 0x0a;

/**
 * The generated service only speaks whole messages. `AllocateResponse` with one container is the tag, the length and the
 * container's bytes: the header is put on and taken off here.
 */
export function responseCodec(definition: ServiceDefinition): ResponseCodec {
  const method = definition['Allocate'];
  if (method === undefined) throw new Error('the device plugin service has no method Allocate');
  // Every write holds the answers of all pods, which never change once they are there.
  const known = new WeakMap<ContainerAllocateResponse, Buffer>();
  return {
    encode(response) {
      const before = known.get(response);
      if (before) return before;
      const whole = method.responseSerialize({ containerResponses: [response] } satisfies AllocateResponse);
      const bytes = whole.subarray(1 + varintLength(whole, 1));
      known.set(response, bytes);
      return bytes;
    },
    decode(bytes) {
      const whole = Buffer.concat([Buffer.from([fieldTag]), varint(bytes.length), bytes]);
      const parsed = method.responseDeserialize(whole) as AllocateResponse;
      const [response] = parsed.containerResponses ?? [];
      if (response === undefined || parsed.containerResponses?.length !== 1) throw new Error('not one response');
      return response;
    },
  };
}

function varintLength(bytes: Buffer, offset: number): number {
  let length = 1;
  while (((bytes[offset + length - 1] ?? 0) & 0x80) !== 0) length++;
  return length;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
