import { fileURLToPath } from 'node:url';
import { existsSync } from 'node:fs';
import protoLoader from '@grpc/proto-loader';
import grpc, { type GrpcObject, type ServiceClientConstructor, type ServiceDefinition } from '@grpc/grpc-js';

/**
 * The gRPC library, for those who load it when it is first needed: they import this file, so that the library is not loaded from two sides
 * at once. Its functions are looked up when they are called: a busy machine was seen to hand out the names of a CommonJS module before
 * they had their values, and an imported name keeps what it had.
 */
export { grpc };

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
  const definition = protoLoader.loadSync(protoPath(files[proto]), {
    keepCase: false,
    longs: Number,
    enums: String,
    defaults: true,
    arrays: true,
    objects: true,
  });
  const loaded = grpc.loadPackageDefinition(definition);
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
