/** The flags of `berth agent`; those of a kubelet that say something about a node keep their names. */
export interface AgentFlags {
  readonly config?: string | undefined;
  readonly configDir?: string | undefined;
  readonly manifests?: string | undefined;
  readonly manifestUrl?: string | undefined;
  readonly nodeName?: string | undefined;
  readonly hostnameOverride?: string | undefined;
  readonly kubeconfig?: string | undefined;
  readonly bootstrapKubeconfig?: string | undefined;
  readonly certDir?: string | undefined;
  /** `a=b,c=d`. */
  readonly nodeLabels?: string | undefined;
  /** One address, or two of different families, with a comma. */
  readonly nodeIp?: string | undefined;
  /** `key=value:Effect,...`. */
  readonly registerWithTaints?: string | undefined;
  readonly registerNode?: boolean | undefined;
  readonly providerId?: string | undefined;
  readonly cloudProvider?: string | undefined;
  readonly containerRuntimeEndpoint?: string | undefined;
  readonly seccompDefault?: boolean | undefined;
  readonly rotateCertificates?: boolean | undefined;
  /** `Name=true,Other=false`. */
  readonly featureGates?: string | undefined;
  readonly rootDir?: string | undefined;
  readonly shareRootDir?: boolean | undefined;
  readonly stateDir?: string | undefined;
  readonly runDir?: string | undefined;
  readonly podLogsDir?: string | undefined;
  readonly cniConfDir?: string | undefined;
  readonly cgroupRoot?: string | undefined;
  readonly imageCredentialProviderConfig?: string | undefined;
  readonly imageCredentialProviderBinDir?: string | undefined;
  readonly insecureRegistry?: readonly string[] | undefined;
  readonly healthzPort?: number | undefined;
  /** The kubelet's other flags, by name and as text. */
  readonly kubelet?: Readonly<Record<string, string>> | undefined;
}
