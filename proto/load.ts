import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { existsSync } from 'node:fs';
import type * as ProtoLoader from '@grpc/proto-loader';
import type * as Grpc from '@grpc/grpc-js';
import type { GrpcObject, ServiceClientConstructor, ServiceDefinition } from '@grpc/grpc-js';
import { requireWhole } from '../base/require-whole.js';

const require = createRequire(import.meta.url);

/**
 * The gRPC library. It takes 100 ms of CPU, so it is loaded by the first who needs it, and by the next when it could not be loaded then.
 */
export function loadGrpc(): typeof Grpc {
  return requireWhole(require, '@grpc/grpc-js') as typeof Grpc;
}

/** The .proto files of this folder, by the name of what is generated from them. */
const files = {
  'cri-v1': 'cri/v1.proto',
  'csi-v1': 'csi/v1.proto',
  'deviceplugin-v1beta1': 'deviceplugin/v1beta1.proto',
  'dra-v1': 'dra/v1.proto',
  'dra-v1beta1': 'dra/v1beta1.proto',
  'dra-health-v1alpha1': 'dra/health-v1alpha1.proto',
  'pluginregistration-v1': 'pluginregistration/v1.proto',
  'podresources-v1': 'podresources/v1.proto',
  'podresources-v1alpha1': 'podresources/v1alpha1.proto',
  'health-v1': 'health/v1.proto',
} as const;

export type ProtoName = keyof typeof files;

/** The services of one .proto file, by their full names. */
export type ProtoServices = (service: string) => ServiceClientConstructor;

/**
 * One of our .proto files, ready for gRPC clients and servers. Messages have the shapes of `proto/generated`: lower camel
 * case, enums by name, 64-bit integers as numbers, unset messages as null. Parsing takes tens of milliseconds: load when
 * the feature is turned on, and keep the result (`WireServices` does).
 */
export function loadServices(proto: ProtoName): ProtoServices {
  const protoLoader = requireWhole(require, '@grpc/proto-loader') as typeof ProtoLoader;
  const definition = protoLoader.loadSync(protoPath(files[proto]), {
    keepCase: false,
    longs: Number,
    enums: String,
    defaults: true,
    arrays: true,
    objects: true,
  });
  const loaded = loadGrpc().loadPackageDefinition(definition);
  return (service) => {
    let at: unknown = loaded;
    for (const part of service.split('.')) at = (at as GrpcObject)[part];
    if (typeof at !== 'function') throw new Error(`load ${proto}: it has no service ${service}`);
    return at as ServiceClientConstructor;
  };
}

/** One service of a file, for whoever needs no other of it. */
export function loadService(proto: ProtoName, service: string): ServiceClientConstructor {
  return loadServices(proto)(service);
}

export function serviceDefinition(proto: ProtoName, service: string): ServiceDefinition {
  return loadService(proto, service).service;
}

/** The sources lie beside this file in a checkout, and one folder up from `dist/` once compiled. */
function protoPath(relative: string): string {
  const beside = fileURLToPath(new URL(relative, import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(new URL(`../../proto/${relative}`, import.meta.url));
}
