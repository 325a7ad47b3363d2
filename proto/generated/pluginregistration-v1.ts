// Generated from proto/pluginregistration/v1.proto by proto/generate.mjs.

export interface PluginInfo {
  readonly type?: string | undefined;
  readonly name?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly supportedVersions?: readonly string[] | undefined;
}

export interface RegistrationStatus {
  readonly pluginRegistered?: boolean | undefined;
  readonly error?: string | undefined;
}

export interface RegistrationStatusResponse {

}

export interface InfoRequest {

}

export interface RegistrationMethods {
  getInfo: { request: InfoRequest; response: PluginInfo; kind: 'unary' };
  notifyRegistrationStatus: { request: RegistrationStatus; response: RegistrationStatusResponse; kind: 'unary' };
}
