// 1. az deployment group create -g GROUP -f image.bicep
// 2. The lines grant-access, azcopy and revoke-access of the Azure CLI, for each of these disks:
//    web of 'web.vhd'
//    d0 of 'd0.vhd'
//    d1 of 'd1.vhd'
// 3. az deployment group create -g GROUP -f image.bicep -p uploaded=true

param location string = resourceGroup().location
@description('The files have been uploaded')
param uploaded bool = false

resource osDisk 'Microsoft.Compute/disks@2024-03-02' = {
  name: 'web'
  location: location
  properties: {
    osType: 'Linux'
    hyperVGeneration: 'V2'
    supportedCapabilities: {
      architecture: 'x64'
    }
    creationData: {
      createOption: 'Upload'
      uploadSizeBytes: 32212255232
    }
  }
}

resource dataDisk0 'Microsoft.Compute/disks@2024-03-02' = {
  name: 'd0'
  location: location
  properties: {
    creationData: {
      createOption: 'Upload'
      uploadSizeBytes: 1073742336
    }
  }
}

resource dataDisk1 'Microsoft.Compute/disks@2024-03-02' = {
  name: 'd1'
  location: location
  properties: {
    creationData: {
      createOption: 'Upload'
      uploadSizeBytes: 2147484160
    }
  }
}

resource gallery 'Microsoft.Compute/galleries@2024-03-03' existing = {
  name: 'GALLERY'
}

resource definition 'Microsoft.Compute/galleries/images@2024-03-03' = {
  parent: gallery
  name: 'web'
  location: location
  properties: {
    identifier: {
      publisher: 'PUBLISHER'
      offer: 'OFFER'
      sku: 'SKU'
    }
    osType: 'Linux'
    osState: 'Generalized'
    hyperVGeneration: 'V2'
    architecture: 'x64'
    features: [
      {
        name: 'SecurityType'
        value: 'TrustedLaunchSupported'
      }
      {
        name: 'DiskControllerTypes'
        value: 'SCSI,NVMe'
      }
      {
        name: 'IsAcceleratedNetworkSupported'
        value: 'True'
      }
    ]
  }
}

resource image 'Microsoft.Compute/images@2024-03-01' = if (uploaded) {
  name: 'web'
  location: location
  properties: {
    hyperVGeneration: 'V2'
    storageProfile: {
      osDisk: {
        osType: 'Linux'
        osState: 'Generalized'
        managedDisk: {
          id: osDisk.id
        }
      }
      dataDisks: [
        {
          lun: 0
          managedDisk: {
            id: dataDisk0.id
          }
        }
        {
          lun: 1
          managedDisk: {
            id: dataDisk1.id
          }
        }
      ]
    }
  }
}

resource version 'Microsoft.Compute/galleries/images/versions@2024-03-03' = if (uploaded) {
  parent: definition
  name: '1.0.0'
  location: location
  properties: {
    publishingProfile: {
      targetRegions: [
        {
          name: location
        }
      ]
      replicationMode: 'Shallow'
    }
    storageProfile: {
      source: {
        id: image.id
      }
    }
  }
}
