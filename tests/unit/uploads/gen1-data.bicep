// 1. az deployment group create -g GROUP -f image.bicep
// 2. The lines grant-access, azcopy and revoke-access of the Azure CLI, for each of these disks:
//    web of 'web.vhd'
//    d0 of 'd0.vhd'
// 3. az deployment group create -g GROUP -f image.bicep -p uploaded=true

param location string = resourceGroup().location
@description('The files have been uploaded')
param uploaded bool = false

resource osDisk 'Microsoft.Compute/disks@2024-03-02' = {
  name: 'web'
  location: location
  properties: {
    osType: 'Linux'
    hyperVGeneration: 'V1'
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

resource image 'Microsoft.Compute/images@2024-03-01' = if (uploaded) {
  name: 'web'
  location: location
  properties: {
    hyperVGeneration: 'V1'
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
      ]
    }
  }
}
