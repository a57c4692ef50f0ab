$config = New-AzDiskConfig -Location 'LOCATION' -SkuName Standard_LRS -OsType Linux -HyperVGeneration V2 -Architecture Arm64 -CreateOption Upload -UploadSizeInBytes 32212255232
New-AzDisk -ResourceGroupName 'GROUP' -DiskName 'web' -Disk $config
$access = Grant-AzDiskAccess -ResourceGroupName 'GROUP' -DiskName 'web' -Access Write -DurationInSecond 86400
azcopy copy 'web.vhd' $access.AccessSAS --blob-type PageBlob
Revoke-AzDiskAccess -ResourceGroupName 'GROUP' -DiskName 'web'
$osDisk = (Get-AzDisk -ResourceGroupName 'GROUP' -DiskName 'web').Id
New-AzGalleryImageDefinition -ResourceGroupName 'GROUP' -Location 'LOCATION' -GalleryName 'GALLERY' -Name 'web' -Publisher 'PUBLISHER' -Offer 'OFFER' -Sku 'SKU' -OsType Linux -OsState Specialized -HyperVGeneration V2 -Architecture 'Arm64' -Feature @(@{Name = 'SecurityType'; Value = 'None'}, @{Name = 'DiskControllerTypes'; Value = 'SCSI,NVMe'}, @{Name = 'IsAcceleratedNetworkSupported'; Value = 'True'})
New-AzGalleryImageVersion -ResourceGroupName 'GROUP' -Location 'LOCATION' -GalleryName 'GALLERY' -GalleryImageDefinitionName 'web' -Name '1.0.0' -OSDiskImage @{Source = @{Id = $osDisk}}
